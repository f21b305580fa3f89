'use strict'

// Hono on Node (@hono/node-server), where a request and a response of node:http show how a request ends. Without these, as in
// `app.request()`, a request ends when its response object is made.

const { STATUS_ABORTED, STATUS_FAILED } = require('../core/boundary.cjs')
const { Adapter } = require('./adapter.cjs')
const { mountedAdminView } = require('./admin-view.cjs')
const { upgrades } = require('./upgrade.cjs')
const { Watch, discard, setTenant, watch } = require('./watch.cjs')

/** Creates the adapter. `matchedRoutes` must come from the copy of Hono that the application uses: ESM and CommonJS have one each. */
module.exports = (matchedRoutes) => {
  /** The template of the last matched route that is no middleware: a middleware has the method ALL and a path that ends in `*`. */
  function templateOf(c) {
    let found = ''
    for (const route of matchedRoutes(c)) if (route.method !== 'ALL' || !route.path.endsWith('*')) found = route.path
    return found
  }

  class HonoWatch extends Watch {
    endpoint() {
      return templateOf(this.subject)
    }
  }

  /** Runs the next middleware and records the request, for a request without a response of node:http. */
  async function recordAround(adapter, c, next) {
    const { recorder } = adapter
    const tenant = adapter.tenantHeader === null ? '' : (c.req.header(adapter.tenantHeader) ?? '')
    const began = performance.now()
    const finish = (code) => {
      try {
        const template = adapter.endpointByFunction(c) ?? templateOf(c)
        if (adapter.excluded?.has(template)) return
        const status = c.req.raw.signal?.aborted ? STATUS_ABORTED : code
        const latencyMs = performance.now() - began
        // The response does not wait for a tenant function that returns a promise.
        if (adapter.tenantFunction === null) recorder.record(tenant, template, status, latencyMs)
        else adapter.resolveTenant(c, (found) => recorder.record(found, template, status, latencyMs))
      } catch {
        recorder.countFailure()
      }
    }
    try {
      await next()
    } catch (error) {
      finish(STATUS_FAILED)
      throw error
    }
    finish(c.res.status)
  }

  function sentinel(sentinel, options) {
    const adapter = new Adapter(sentinel, options)
    return function sentinelMiddleware(c, next) {
      const { incoming, outgoing } = c.env ?? {}
      if (incoming === undefined || outgoing === undefined) return recordAround(adapter, c, next)
      watch(adapter, incoming, outgoing, c, HonoWatch)
      return next()
    }
  }

  function admin(sentinel, options) {
    const { view, prefix } = mountedAdminView(sentinel, options)
    return (c) => {
      discard(c)
      const { pathname, search } = new URL(c.req.url)
      const { status, headers, body } = view.respond(c.req.method, pathname.slice(prefix.length), search.slice(1), c.req.header('authorization'))
      return new Response(c.req.method === 'HEAD' ? null : body, { status, headers })
    }
  }

  return { sentinel, admin, setTenant, upgrades }
}
