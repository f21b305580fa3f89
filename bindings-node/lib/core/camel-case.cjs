'use strict'

// The core names fields and options in snake_case; this package names them in camelCase. Only names that the core defines are
// converted: no field's name comes from outside.

const camelCase = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase())
const snakeCase = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** Names that were converted before: a report repeats the same few in every row. */
const converted = new Map()

function cachedCamelCase(name) {
  let known = converted.get(name)
  if (known === undefined) converted.set(name, (known = camelCase(name)))
  return known
}

function withCamelCaseNames(value) {
  if (Array.isArray(value)) return typeof value[0] === 'object' ? value.map(withCamelCaseNames) : value
  if (value === null || typeof value !== 'object') return value
  const out = {}
  for (const name of Object.keys(value)) out[cachedCamelCase(name)] = withCamelCaseNames(value[name])
  return out
}

/** Parses JSON of the core into an object with camelCase names. */
const fromCoreJson = (json) => withCamelCaseNames(JSON.parse(json))

module.exports = { camelCase, snakeCase, fromCoreJson }
