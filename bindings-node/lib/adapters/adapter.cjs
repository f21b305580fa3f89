'use strict'

// What every adapter is told: where the tenant is, what does not count, and the endpoint's name where no framework knows it.

const { tenantOf } = require('../core/boundary.cjs')
const { object } = require('../core/options.cjs')
const { wrongType, outOfRange } = require('../core/errors.cjs')
const { innerOf } = require('../core/sentinel.cjs')

/** So long is waited for what an asynchronous tenant function says; then the request is nobody's. */
const PATIENCE_MS = 5_000

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

class Adapter {
  constructor(sentinel, options) {
    const { tenant, exclude, endpoint } = object('options', options, ['tenant', 'exclude', 'endpoint'])
    this.inner = innerOf(sentinel)
    this.header = null
    this.tenant = null
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

  /** What the application calls a request's template; nothing where it leaves that to the framework. */
  template(subject) {
    if (this.endpoint === null) return undefined
    try {
      return this.endpoint(subject)
    } catch {
      this.inner.failed()
      return undefined
    }
  }

  /**
   * Asks whose a request is, and calls `tell` with that: once and soon, whatever becomes of the answer. Nothing of the request is kept
   * by an answer that never comes.
   */
  whose(subject, tell) {
    let found
    try {
      found = this.tenant(subject)
      if (typeof found?.then === 'function') {
        this.#later(found, tell)
        return
      }
    } catch {
      this.inner.failed()
      found = undefined
    }
    tell(this.#known(found))
  }

  #later(found, tell) {
    let waiting = tell
    const settle = (id) => {
      if (waiting === null) return
      clearTimeout(timer)
      const tell = waiting
      waiting = null
      tell(this.#known(id))
    }
    const never = () => {
      if (waiting !== null) this.inner.failed()
      settle(undefined)
    }
    const timer = setTimeout(never, PATIENCE_MS)
    timer.unref()
    Promise.resolve(found).then(settle, never)
  }

  #known(found) {
    const tenant = tenantOf(found)
    if (tenant === undefined) this.inner.failed()
    return tenant ?? ''
  }
}

function templates(exclude) {
  if (exclude === undefined || exclude === null) return null
  const allowed = "route templates, such as ['/health']"
  let given
  try {
    given = typeof exclude === 'string' ? [exclude] : [...exclude]
  } catch {
    throw wrongType('exclude', exclude, allowed)
  }
  for (const template of given) if (typeof template !== 'string') throw wrongType('exclude', template, allowed)
  return given.length > 0 ? new Set(given) : null
}

module.exports = { Adapter }
