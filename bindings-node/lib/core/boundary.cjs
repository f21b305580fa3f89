'use strict'

// What JavaScript values mean to the core. On the path of `record` a value of a wrong type is worth as much as a missing one.

const { types } = require('node:util')

/**
 * A tenant's id: a string, bytes, a whole number or a bigint; nothing is nobody. `undefined`: a value of a wrong type. Other objects
 * are refused rather than asked for their text, which may run anything.
 */
function tenantOf(id) {
  switch (typeof id) {
    case 'string':
      return id
    case 'undefined':
      return ''
    case 'number':
      return Number.isInteger(id) ? (Number.isSafeInteger(id) ? String(id) : String(BigInt(id))) : undefined
    case 'bigint':
      return String(id)
    case 'object':
      if (id === null) return ''
      return types.isUint8Array(id) ? id : undefined
    default:
      return undefined
  }
}

/** A route template; nothing is no route. `undefined`: a value of a wrong type. */
function endpointOf(template) {
  if (typeof template === 'string') return template
  return template === undefined || template === null ? '' : undefined
}

/** A status; a number that is none is 0, which the core drops as such. `undefined`: a value of a wrong type. */
function statusOf(code) {
  if (typeof code !== 'number') return undefined
  return code >= 100 && code < 600 && Number.isInteger(code) ? code : 0
}

module.exports = { tenantOf, endpointOf, statusOf }
