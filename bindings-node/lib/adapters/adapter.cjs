'use strict'

// The options of every adapter: how to find a request's tenant, which routes do not count, and how to name the endpoint of a request
// whose route the framework does not know.

const { tenantOf } = require('../core/boundary.cjs')
const { wrongType, outOfRange } = require('../core/errors.cjs')
const { readOptions } = require('../core/options.cjs')
const { recorderOf } = require('../core/sentinel.cjs')

/** The time that a promise of a tenant function has; after that the request is `unattributed`. */
const TENANT_TIMEOUT_MS = 5_000

const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

class Adapter {
  constructor(sentinel, options) {
    const { tenant, exclude, endpoint } = readOptions('options', options, ['tenant', 'exclude', 'endpoint'])
    this.recorder = recorderOf(sentinel)
    this.tenantHeader = null
    this.tenantFunction = null
    if (typeof tenant === 'function') this.tenantFunction = tenant
    else if (typeof tenant === 'string') {
      if (!HEADER_NAME.test(tenant)) throw outOfRange('tenant', tenant, 'a header name: letters, digits and -; or a function of the request')
      this.tenantHeader = tenant.toLowerCase()
    } else if (tenant !== undefined && tenant !== null) {
      throw wrongType('tenant', tenant, 'a header name, or a function of the request')
    }
    this.excluded = excludedTemplates(exclude)
    if (endpoint !== undefined && endpoint !== null && typeof endpoint !== 'function') {
      throw wrongType('endpoint', endpoint, 'a function of the request that returns a route template')
    }
    this.endpointFunction = endpoint ?? null
  }

  /** The template that the application gives a request; nothing where it leaves that to the framework. */
  endpointByFunction(subject) {
    if (this.endpointFunction === null) return undefined
    try {
      return this.endpointFunction(subject)
    } catch {
      this.recorder.countFailure()
      return undefined
    }
  }

  /**
   * Calls the tenant function, and `done` with the tenant: exactly once, within five seconds, and with the empty id on a failure. After
   * a promise has timed out, it keeps no reference to the request.
   */
  resolveTenant(subject, done) {
    let found
    try {
      found = this.tenantFunction(subject)
      if (typeof found?.then === 'function') {
        this.#awaitTenant(found, done)
        return
      }
    } catch {
      this.recorder.countFailure()
      found = undefined
    }
    done(this.recorder.valueOrEmpty(tenantOf(found)))
  }

  #awaitTenant(promise, done) {
    let pending = done
    const settle = (id) => {
      if (pending === null) return
      clearTimeout(timer)
      const done = pending
      pending = null
      done(this.recorder.valueOrEmpty(tenantOf(id)))
    }
    const fail = () => {
      if (pending !== null) this.recorder.countFailure()
      settle(undefined)
    }
    const timer = setTimeout(fail, TENANT_TIMEOUT_MS)
    timer.unref()
    Promise.resolve(promise).then(settle, fail)
  }
}

function excludedTemplates(exclude) {
  if (exclude === undefined || exclude === null) return null
  const allowed = "route templates, such as ['/health']"
  let templates
  try {
    templates = typeof exclude === 'string' ? [exclude] : [...exclude]
  } catch {
    throw wrongType('exclude', exclude, allowed)
  }
  for (const template of templates) if (typeof template !== 'string') throw wrongType('exclude', template, allowed)
  return templates.length > 0 ? new Set(templates) : null
}

module.exports = { Adapter }
