'use strict'

// What every adapter is told: where the tenant is, what does not count, and the endpoint's name where no framework knows it.

const { object, known } = require('./options.cjs')
const { wrongType, outOfRange } = require('./errors.cjs')
const { innerOf } = require('./sentinel.cjs')

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

class Adapter {
  constructor(sentinel, options) {
    const given = object('options', options)
    known(given, ['tenant', 'exclude', 'endpoint'])
    this.inner = innerOf(sentinel)
    this.header = null
    this.tenant = null
    const { tenant, exclude, endpoint } = given
    if (typeof tenant === 'function') this.tenant = tenant
    else if (typeof tenant === 'string') {
      if (!TOKEN.test(tenant)) throw outOfRange('tenant', tenant, 'a header name: letters, digits and -; or a function of the request')
      this.header = tenant.toLowerCase()
    } else if (tenant !== undefined && tenant !== null) {
      throw wrongType('tenant', tenant, 'a header name, or a function of the request')
    }
    this.exclude = templates(exclude)
    if (endpoint !== undefined && endpoint !== null && typeof endpoint !== 'function') {
      throw wrongType('endpoint', endpoint, 'a function of the request that names a route template')
    }
    this.endpoint = endpoint ?? null
  }
}

function templates(exclude) {
  if (exclude === undefined || exclude === null) return null
  const given = typeof exclude === 'string' ? [exclude] : exclude
  const allowed = "route templates, such as ['/health']"
  if (typeof given[Symbol.iterator] !== 'function') throw wrongType('exclude', exclude, allowed)
  const out = new Set(given)
  for (const template of out) if (typeof template !== 'string') throw wrongType('exclude', template, allowed)
  return out.size > 0 ? out : null
}

module.exports = { Adapter }
