'use strict'

// Hono on Node (@hono/node-server): below it there are a request and a response of Node's, which know how it ended. Elsewhere, as in
// `app.request()`, an answer counts when it is made.

const { Adapter } = require('./adapter.cjs')
const { ABORTED, FAILED, Watch, watch, setTenant, discard } = require('./watch.cjs')
const { mounted } = require('./serve.cjs')
const { upgrades } = require('./upgrade.cjs')

/** The adapter; `matchedRoutes` is that of the Hono which the app uses: ESM and CommonJS have one each. */
module.exports = (matchedRoutes) => {
  /** The route among all that matched: middleware is registered for every method below a path. */
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

  /** Without a response of Node's: from the call of the middleware until the answer is made. */
  async function around(adapter, c, next) {
    const { inner } = adapter
    const value = adapter.header === null ? '' : (c.req.header(adapter.header) ?? '')
    const began = performance.now()
    const ended = (code) => {
      try {
        const template = adapter.template(c) ?? templateOf(c)
        if (adapter.exclude?.has(template)) return
        const status = c.req.raw.signal?.aborted ? ABORTED : code
        const took = performance.now() - began
        // The answer does not wait for whose it is.
        if (adapter.tenant === null) inner.record(value, template, status, took)
        else adapter.whose(c, (tenant) => inner.record(tenant, template, status, took))
      } catch {
        inner.failed()
      }
    }
    try {
      await next()
    } catch (error) {
      ended(FAILED)
      throw error
    }
    ended(c.res.status)
  }

  /** Middleware that tells a sentinel of every request: `app.use(sentinel(s, options))`, first. */
  function sentinel(sentinel, options) {
    const adapter = new Adapter(sentinel, options)
    return function sentinelMiddleware(c, next) {
      const { incoming, outgoing } = c.env ?? {}
      if (incoming === undefined || outgoing === undefined) return around(adapter, c, next)
      watch(adapter, incoming, outgoing, c, HonoWatch)
      return next()
    }
  }

  /** The admin view: `app.all('/sentinel/*', admin(s))`, `prefix` where it is elsewhere. Its own requests do not count. */
  function admin(sentinel, options) {
    const { view, prefix } = mounted(sentinel, options)
    return (c) => {
      discard(c)
      const { pathname, search } = new URL(c.req.url)
      const { status, headers, body } = view.respond(c.req.method, pathname.slice(prefix.length), search.slice(1), c.req.header('authorization'))
      return new Response(c.req.method === 'HEAD' ? null : body, { status, headers })
    }
  }

  return { sentinel, admin, setTenant, upgrades }
}
