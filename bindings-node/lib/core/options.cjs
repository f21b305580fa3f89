'use strict'

const { wrongType, outOfRange } = require('./errors.cjs')
const { nested } = require('./nested.cjs')

const DURATION = "seconds, or text such as '10m' or '90s'"

function duration(field, value) {
  if (typeof value === 'string') return value
  if (typeof value !== 'number') throw wrongType(field, value, DURATION)
  if (!(value >= 0 && value < 1e9)) throw outOfRange(field, value, DURATION)
  return plain(value)
}

/** Without an exponent, which the core does not read. */
const plain = (number) => (/e/.test(String(number)) ? number.toFixed(9) : String(number))

function size(field, value) {
  if (typeof value === 'string') return value
  return whole(field, value, "bytes, or text such as '64MiB'")
}

const count = (field, value) => whole(field, value, 'a whole number')

function whole(field, value, allowed) {
  if (typeof value !== 'number') throw wrongType(field, value, allowed)
  if (!(Number.isSafeInteger(value) && value >= 0)) throw outOfRange(field, value, allowed)
  return String(value)
}

function text(field, value) {
  if (typeof value !== 'string') throw wrongType(field, value, 'text')
  return value
}

function token(field, value) {
  // Not with its value: that is a secret.
  if (typeof value !== 'string') throw wrongType(field, {}, 'text')
  return value
}

const NAMES = {
  window: ['window', duration],
  slot: ['slot', duration],
  budget: ['budget', size],
  errors: ['errors', text],
  places: ['places', count],
  maxEndpoints: ['max_endpoints', count],
  stripes: ['stripes', count],
  slowAfter: ['slow_after', duration],
  adminToken: ['admin_token', token],
  service: ['service', text],
  dir: ['dir', text],
  config: ['config', text],
  alerts: ['alerts', nested],
  uptime: ['uptime', nested],
  stateDir: ['state_dir', text]
}

/**
 * What an object of options has by these names; there may be none. A name that means nothing is refused: a typo must not be a default.
 * Each is read once: it may be a getter, or the object a proxy, and throw.
 */
function object(field, given, names) {
  if (given === undefined || given === null) return {}
  if (typeof given !== 'object') throw wrongType(field, given, 'an object')
  const out = {}
  let other
  let value
  try {
    other = Object.keys(given).find((name) => !names.includes(name))
    if (other !== undefined) value = given[other]
    for (const name of names) out[name] = given[name]
  } catch {
    throw wrongType(field, given, 'an object that can be read')
  }
  if (other !== undefined) throw wrongType(other, value, `one of ${names.join(', ')}`)
  return out
}

/** The constructor's options, name and value in turn. */
function pairs(given) {
  const options = object('options', given, Object.keys(NAMES))
  const out = []
  for (const [name, [core, read]] of Object.entries(NAMES)) {
    const value = options[name]
    if (value !== undefined && value !== null) out.push(core, read(name, value))
  }
  return out
}

const optional = (value, read, field) => (value === undefined || value === null ? undefined : read(field, value))

function flag(field, value) {
  if (value !== undefined && value !== null && typeof value !== 'boolean') throw wrongType(field, value, 'true or false')
  return value === true
}

/** What is asked of checks: with what they were day by day. */
function checks(given) {
  const options = object('query', given, ['series'])
  return flag('series', options.series)
}

/** A query's options: what it ranks by, how many, of which time, with counts slot by slot, of which processes. */
function query(given, names) {
  const options = object('query', given, names)
  const { by, limit, window, scope } = options
  const series = flag('series', options.series)
  const asked = { by: optional(by, text, 'by'), limit: optional(limit, count, 'limit') }
  return { ...asked, window: optional(window, duration, 'window'), series, scope: optional(scope, text, 'scope') }
}

/** What a test of sinks is told: which one, and for how long. */
function test(sink, given) {
  const options = object('options', given, ['timeout'])
  return { sink: optional(sink, text, 'sink'), timeout: optional(options.timeout, duration, 'timeout') }
}

module.exports = { pairs, query, checks, test, object, text }
