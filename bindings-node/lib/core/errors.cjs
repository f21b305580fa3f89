'use strict'

// A value that cannot be used is a TypeError (the wrong kind of value) or a RangeError (the right kind, the wrong value). Each error
// has `field`, `value` and `allowed`, and the code ERR_SENTINEL_CONFIG.

const { camelCase } = require('./camel-case.cjs')

/** Characters of a value that an error shows. */
const MAX_SHOWN = 80

/** The name of an option as JavaScript knows it; names of environment variables stay. */
const fieldName = (name) => (name.startsWith('SENTINEL_') ? name : camelCase(name))

/** Converts the names of options inside of a text of the core; names of environment variables stay. */
const withCamelCaseOptions = (text) => text.replace(/(?<=[a-z])_([a-z])/g, (_, letter) => letter.toUpperCase())

function configError(Class, field, value, allowed) {
  const error = new Class(`${field}: ${value} is not allowed; allowed: ${allowed}`)
  return Object.assign(error, { code: 'ERR_SENTINEL_CONFIG', field, value, allowed })
}

/** A short text for a value. Calls no method of the value, which may be hostile. */
function shown(value) {
  switch (typeof value) {
    case 'string': {
      const text = JSON.stringify(value.slice(0, MAX_SHOWN))
      return value.length > MAX_SHOWN ? `${text.slice(0, -1)}…"` : text
    }
    case 'number':
    case 'boolean':
    case 'undefined':
      return String(value)
    case 'bigint':
      return `${String(value).slice(0, MAX_SHOWN)}n`
    default:
      return value === null ? 'null' : typeof value === 'object' ? 'an object' : `a ${typeof value}`
  }
}

const wrongType = (field, value, allowed) => configError(TypeError, field, shown(value), allowed)
const outOfRange = (field, value, allowed) => configError(RangeError, field, shown(value), allowed)

/** An error that shows nothing of the value, which may be a secret. */
const hiddenValue = (Class, field, allowed) => configError(Class, field, 'a value that is not shown', allowed)

/** Converts a configuration error of the core, whose message is JSON with its parts; returns any other error as it is. */
function fromCoreError(error) {
  if (error?.code !== 'InvalidArg' || !error.message.startsWith('{')) return error
  const { field, value, allowed } = JSON.parse(error.message)
  const converted = /^(alerts|uptime)/.test(field) ? withCamelCaseOptions : String
  return configError(RangeError, fieldName(field), converted(value), converted(allowed))
}

/** Runs a call into the core and converts its error. */
function checked(run) {
  try {
    return run()
  } catch (error) {
    throw fromCoreError(error)
  }
}

/** Runs a call that returns a promise and converts its error. */
async function checkedAsync(run) {
  try {
    return await run()
  } catch (error) {
    throw fromCoreError(error)
  }
}

module.exports = { wrongType, outOfRange, hiddenValue, checked, checkedAsync }
