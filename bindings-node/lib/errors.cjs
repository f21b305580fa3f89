'use strict'

// What cannot be used is a TypeError (the wrong kind of value) or a RangeError (the wrong value of that kind), each with `field`,
// `value` and `allowed`, and the code ERR_SENTINEL_CONFIG.

const MOST = 80

const camelField = (name) => (name.startsWith('SENTINEL_') ? name : name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase()))

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

/** Runs what may be refused inside; the core's error comes as its parts, in JSON. */
function checked(run) {
  try {
    return run()
  } catch (error) {
    if (error?.code !== 'InvalidArg' || !error.message.startsWith('{')) throw error
    const { field, value, allowed } = JSON.parse(error.message)
    throw make(RangeError, camelField(field), value, allowed)
  }
}

module.exports = { wrongType, outOfRange, checked }
