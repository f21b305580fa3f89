'use strict'

// Reads the options of the constructor and of queries, and converts each value to the text that the core parses.

const { wrongType, outOfRange } = require('./errors.cjs')
const { nestedOptionJson } = require('./nested-options.cjs')

const DURATION = "seconds, or text such as '10m' or '90s'"

function duration(field, value) {
  if (typeof value === 'string') return value
  if (typeof value !== 'number') throw wrongType(field, value, DURATION)
  if (!(value >= 0 && value < 1e9)) throw outOfRange(field, value, DURATION)
  // The core reads no exponent.
  return /e/.test(String(value)) ? value.toFixed(9) : String(value)
}

function size(field, value) {
  if (typeof value === 'string') return value
  return wholeNumber(field, value, "bytes, or text such as '64MiB'")
}

const count = (field, value) => wholeNumber(field, value, 'a whole number')

function wholeNumber(field, value, allowed) {
  if (typeof value !== 'number') throw wrongType(field, value, allowed)
  if (!(Number.isSafeInteger(value) && value >= 0)) throw outOfRange(field, value, allowed)
  return String(value)
}

function requireText(field, value) {
  if (typeof value !== 'string') throw wrongType(field, value, 'text')
  return value
}

function token(field, value) {
  // The error shows `an object` in place of the value, which is a secret.
  if (typeof value !== 'string') throw wrongType(field, {}, 'text')
  return value
}

function flag(field, value) {
  if (value !== undefined && value !== null && typeof value !== 'boolean') throw wrongType(field, value, 'true or false')
  return value === true
}

/** The constructor's options: the core's name of each, and the function that reads its value. */
const CONSTRUCTOR_OPTIONS = {
  window: ['window', duration],
  slot: ['slot', duration],
  budget: ['budget', size],
  errors: ['errors', requireText],
  places: ['places', count],
  maxEndpoints: ['max_endpoints', count],
  stripes: ['stripes', count],
  slowAfter: ['slow_after', duration],
  adminToken: ['admin_token', token],
  service: ['service', requireText],
  dir: ['dir', requireText],
  config: ['config', requireText],
  alerts: ['alerts', nestedOptionJson],
  uptime: ['uptime', nestedOptionJson],
  stateDir: ['state_dir', requireText]
}

/**
 * Reads the options `names` from an object, which may be missing. Any other name is an error, so that a typo does not become a default.
 * Each property is read once, since it may be a getter, or the object a proxy, and throw.
 */
function readOptions(field, given, names) {
  if (given === undefined || given === null) return {}
  if (typeof given !== 'object') throw wrongType(field, given, 'an object')
  const out = {}
  let unknown
  let value
  try {
    unknown = Object.keys(given).find((name) => !names.includes(name))
    if (unknown !== undefined) value = given[unknown]
    for (const name of names) out[name] = given[name]
  } catch {
    throw wrongType(field, given, 'an object that can be read')
  }
  if (unknown !== undefined) throw wrongType(unknown, value, `one of ${names.join(', ')}`)
  return out
}

const optional = (field, value, read) => (value === undefined || value === null ? undefined : read(field, value))

/** The constructor's options as the native side takes them: name, value, name, value. */
function constructorOptions(given) {
  const options = readOptions('options', given, Object.keys(CONSTRUCTOR_OPTIONS))
  const out = []
  for (const [name, [coreName, read]] of Object.entries(CONSTRUCTOR_OPTIONS)) {
    const value = optional(name, options[name], read)
    if (value !== undefined) out.push(coreName, value)
  }
  return out
}

/** The options of a report, or as many of them as `names` has. */
function reportOptions(given, names) {
  const { by, limit, window, series, scope } = readOptions('query', given, names)
  return {
    series: flag('series', series),
    by: optional('by', by, requireText),
    limit: optional('limit', limit, count),
    window: optional('window', window, duration),
    scope: optional('scope', scope, requireText)
  }
}

/** The option of `uptime()`: whether to add the last 90 days, one by one. */
function uptimeSeries(given) {
  return flag('series', readOptions('query', given, ['series']).series)
}

/** The arguments of `testAlert()`. */
function testAlertOptions(sink, given) {
  const { timeout } = readOptions('options', given, ['timeout'])
  return { sink: optional('sink', sink, requireText), timeout: optional('timeout', timeout, duration) }
}

module.exports = { constructorOptions, reportOptions, uptimeSeries, testAlertOptions, readOptions, requireText }
