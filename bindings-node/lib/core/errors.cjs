'use strict'

// What cannot be used is a TypeError (the wrong kind of value) or a RangeError (the wrong value of that kind), each with `field`,
// `value` and `allowed`, and the code ERR_SENTINEL_CONFIG.

const MOST = 80

const camelField = (name) => (name.startsWith('SENTINEL_') ? name : name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase()))

/** Names of options in what the core says; those of the environment stay. */
const camelNames = (text) => text.replace(/(?<=[a-z])_([a-z])/g, (_, letter) => letter.toUpperCase())

function make(Class, field, value, allowed) {
  const error = new Class(`${field}: ${value} is not allowed; allowed: ${allowed}`)
  return Object.assign(error, { code: 'ERR_SENTINEL_CONFIG', field, value, allowed })
}

/** How a value is shown; nothing of it is called, it may be hostile. */
function shown(value) {
  switch (typeof value) {
    case 'string': {
      const text = JSON.stringify(value.slice(0, MOST))
      return value.length > MOST ? `${text.slice(0, -1)}…"` : text
    }
    case 'number':
    case 'boolean':
    case 'undefined':
      return String(value)
    case 'bigint':
      return `${String(value).slice(0, MOST)}n`
    default:
      return value === null ? 'null' : typeof value === 'object' ? 'an object' : `a ${typeof value}`
  }
}

const wrongType = (field, value, allowed) => make(TypeError, field, shown(value), allowed)
const outOfRange = (field, value, allowed) => make(RangeError, field, shown(value), allowed)

/** What must not be shown: it may be a secret. */
const hidden = (Class, field, allowed) => make(Class, field, 'a value that is not shown', allowed)

/** What was refused inside: the core's error comes as its parts, in JSON. */
function refused(error) {
  if (error?.code !== 'InvalidArg' || !error.message.startsWith('{')) return error
  const { field, value, allowed } = JSON.parse(error.message)
  const named = /^(alerts|uptime)/.test(field) ? camelNames : String
  return make(RangeError, camelField(field), named(value), named(allowed))
}

/** Runs what may be refused inside. */
function checked(run) {
  try {
    return run()
  } catch (error) {
    throw refused(error)
  }
}

/** The same of what is answered later. */
async function checkedLater(run) {
  try {
    return await run()
  } catch (error) {
    throw refused(error)
  }
}

module.exports = { wrongType, outOfRange, hidden, checked, checkedLater }
