'use strict'

// Converts JavaScript values to values of the core. On the path of `record` a value of a wrong type counts as a missing one.

const { types } = require('node:util')

/** The status of a request whose client went away before the answer was complete. */
const STATUS_ABORTED = 499
/** The status of a request that failed without an answer of its own. */
const STATUS_FAILED = 500

/**
 * A tenant id from a string, bytes, a whole number or a bigint; null and undefined are the empty id. Returns `undefined` for a value
 * of a wrong type. Other objects are refused, since converting one to a string may run any code.
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

/** A route template; null and undefined are the empty one, which the core shows as `unmatched`. Returns `undefined` for a wrong type. */
function endpointOf(template) {
  if (typeof template === 'string') return template
  return template === undefined || template === null ? '' : undefined
}

/** A status, 100 to 599; any other number becomes 0, which the core drops as `dropped.status`. Returns `undefined` for a wrong type. */
function statusOf(code) {
  if (typeof code !== 'number') return undefined
  return code >= 100 && code < 600 && Number.isInteger(code) ? code : 0
}

module.exports = { tenantOf, endpointOf, statusOf, STATUS_ABORTED, STATUS_FAILED }
