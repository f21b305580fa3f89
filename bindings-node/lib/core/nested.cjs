'use strict'

// The objects that say which alerts and which checks there are, as the JSON that the exporter reads. Nothing of what is in them is ever
// shown but the names of options: a value may be a secret in the wrong place.

const { hidden } = require('./errors.cjs')

// Objects and lists in each other; `alerts.sinks[0].url.env` is the fourth.
const DEEPEST = 8
// Values and characters of text, together: what a file may have.
const MOST = 1 << 20
// What might be the name of an option, written well or not; no address and no key looks like one.
const NAME = /^[A-Za-z][A-Za-z0-9]{0,31}$/
const SNAKE = /^[a-z_]{1,32}$/
const KINDS = 'text, a number, true, false, null, a list or an object'

const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** A plain object, of whichever realm. */
const isObject = (value) => Object.prototype.toString.call(value) === '[object Object]'

function taken(field, budget, cost) {
  budget.left -= cost
  if (budget.left < 0) throw hidden(RangeError, field, '1 MiB in all')
}

/** Keys here are somebody's own, and stay as they are: the names of headers, and what is looked for in JSON. */
const isOwn = (field) => field.startsWith('uptime.') && (field.endsWith('.headers') || field.includes('.expect.json'))

function object(field, given, budget, depth) {
  // Without a prototype, which a key of that name would be.
  const out = Object.create(null)
  const own = isOwn(field)
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue
    if (own) {
      taken(field, budget, name.length)
      // A key that somebody chose is no name to be shown.
      out[name] = read(field, value, budget, depth)
      continue
    }
    if (!NAME.test(name)) throw hidden(TypeError, SNAKE.test(name) ? `${field}.${name}` : field, 'names of options, in camelCase')
    taken(field, budget, name.length)
    out[snake(name)] = read(`${field}.${name}`, value, budget, depth)
  }
  return out
}

function read(field, value, budget, above) {
  taken(field, budget, 1)
  switch (typeof value) {
    case 'string':
      taken(field, budget, value.length)
      return value
    case 'boolean':
      return value
    case 'number':
      if (!Number.isFinite(value)) throw hidden(RangeError, field, 'a finite number')
      return value
    case 'object':
      break
    default:
      throw hidden(TypeError, field, KINDS)
  }
  if (value === null) return null
  const depth = above + 1
  if (depth > DEEPEST) throw hidden(RangeError, field, 'what the documentation gives, which is less deep')
  if (Array.isArray(value)) {
    taken(field, budget, value.length)
    const out = []
    for (let at = 0; at < value.length; at++) out.push(read(`${field}[${at}]`, value[at], budget, depth))
    return out
  }
  if (!isObject(value)) throw hidden(TypeError, field, KINDS)
  return object(field, value, budget, depth)
}

/** What `alerts` or `uptime`, which is the `field`, is given, as JSON. */
function nested(field, given) {
  const form = `an object of the form of [${field}] in sentinel.toml, in camelCase`
  let found
  try {
    if (typeof given !== 'object' || !isObject(given)) throw hidden(TypeError, field, form)
    found = object(field, given, { left: MOST }, 1)
  } catch (error) {
    // It may be hostile: a getter, a proxy.
    throw error?.code === 'ERR_SENTINEL_CONFIG' ? error : hidden(TypeError, field, form)
  }
  return JSON.stringify(found)
}

module.exports = { nested }
