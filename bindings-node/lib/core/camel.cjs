'use strict'

// The report is one shape in every language: snake_case in JSON, camelCase here. Only names of fields change; no field holds names
// that come from outside.

const names = new Map()

function camel(name) {
  let known = names.get(name)
  if (known === undefined) names.set(name, (known = name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase())))
  return known
}

function camelCased(value) {
  if (Array.isArray(value)) return typeof value[0] === 'object' ? value.map(camelCased) : value
  if (value === null || typeof value !== 'object') return value
  const out = {}
  for (const name of Object.keys(value)) out[camel(name)] = camelCased(value[name])
  return out
}

/** An object of the core's JSON. */
module.exports = { ofJson: (json) => camelCased(JSON.parse(json)) }
