'use strict'

// Converts the objects `alerts` and `uptime` to the JSON that the exporter reads. Errors show names of options and no value at all,
// since a value may be a secret in the wrong place.

const { snakeCase } = require('./camel-case.cjs')
const { hiddenValue } = require('./errors.cjs')

/** Objects and lists inside each other; `alerts.sinks[0].url.env` is in the fourth. */
const MAX_DEPTH = 8
/** Values and characters of text together: as much as a configuration file may have. */
const MAX_SIZE = 1 << 20
/** A key that may be the name of an option, spelled right or not; no address and no key of an API looks like this. */
const OPTION_NAME = /^[A-Za-z][A-Za-z0-9]{0,31}$/
const SNAKE_CASE = /^[a-z_]{1,32}$/
const TYPES = 'text, a number, true, false, null, a list or an object'

/** Whether a value is a plain object, of whichever realm. */
const isPlainObject = (value) => Object.prototype.toString.call(value) === '[object Object]'

/** Whether the application chose the keys of this object: names of headers, and JSON pointers. Such keys are neither changed nor shown. */
const hasFreeKeys = (field) => field.startsWith('uptime.') && (field.endsWith('.headers') || field.includes('.expect.json'))

function spend(field, budget, cost) {
  budget.left -= cost
  if (budget.left < 0) throw hiddenValue(RangeError, field, 'at most 1 MiB in all')
}

function convertObject(field, given, budget, depth) {
  // No prototype, so that the key `__proto__` is a key like any other.
  const out = Object.create(null)
  const isFree = hasFreeKeys(field)
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue
    if (isFree) {
      spend(field, budget, name.length)
      out[name] = convert(field, value, budget, depth)
      continue
    }
    if (!OPTION_NAME.test(name)) throw hiddenValue(TypeError, SNAKE_CASE.test(name) ? `${field}.${name}` : field, 'names of options, in camelCase')
    spend(field, budget, name.length)
    out[snakeCase(name)] = convert(`${field}.${name}`, value, budget, depth)
  }
  return out
}

function convert(field, value, budget, depthAbove) {
  spend(field, budget, 1)
  switch (typeof value) {
    case 'string':
      spend(field, budget, value.length)
      return value
    case 'boolean':
      return value
    case 'number':
      if (!Number.isFinite(value)) throw hiddenValue(RangeError, field, 'a finite number')
      return value
    case 'object':
      break
    default:
      throw hiddenValue(TypeError, field, TYPES)
  }
  if (value === null) return null
  const depth = depthAbove + 1
  if (depth > MAX_DEPTH) throw hiddenValue(RangeError, field, `at most ${MAX_DEPTH} objects and lists inside each other`)
  if (Array.isArray(value)) {
    spend(field, budget, value.length)
    const out = []
    for (let at = 0; at < value.length; at++) out.push(convert(`${field}[${at}]`, value[at], budget, depth))
    return out
  }
  if (!isPlainObject(value)) throw hiddenValue(TypeError, field, TYPES)
  return convertObject(field, value, budget, depth)
}

/** The JSON of the option `field`, which is `alerts` or `uptime`. */
function nestedOptionJson(field, given) {
  const allowed = `an object of the form of [${field}] in sentinel.toml, in camelCase`
  let converted
  try {
    if (typeof given !== 'object' || !isPlainObject(given)) throw hiddenValue(TypeError, field, allowed)
    converted = convertObject(field, given, { left: MAX_SIZE }, 1)
  } catch (error) {
    // The object may be hostile: a getter or a proxy that throws.
    throw error?.code === 'ERR_SENTINEL_CONFIG' ? error : hiddenValue(TypeError, field, allowed)
  }
  return JSON.stringify(converted)
}

module.exports = { nestedOptionJson }
