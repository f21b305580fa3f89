'use strict'

const { Adapter } = require('./adapter.cjs')
const { below, mounted, serve } = require('./serve.cjs')
const { Watch, watch, setTenant } = require('./watch.cjs')
const { upgrades } = require('./upgrade.cjs')

class KoaWatch extends Watch {
  endpoint() {
    const route = this.subject._matchedRoute
    return route === undefined || route === null ? '' : String(route)
  }
}

/** Middleware that tells a sentinel of every request; add it first. Route templates are those of @koa/router. */
function sentinel(sentinel, options) {
  const adapter = new Adapter(sentinel, options)
  return function sentinelMiddleware(ctx, next) {
    watch(adapter, ctx.req, ctx.res, ctx, KoaWatch)
    return next()
  }
}

/** The admin view, below a prefix: `app.use(admin(sentinel))`. Its own requests do not count. */
function admin(sentinel, options) {
  const { view, prefix } = mounted(sentinel, options)
  return (ctx, next) => {
    const url = below(prefix, ctx.url)
    if (url === undefined) return next()
    ctx.respond = false
    serve(view, ctx.req, ctx.res, url)
    return undefined
  }
}

module.exports = { sentinel, admin, setTenant, upgrades }
