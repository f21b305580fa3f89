'use strict'

const { Adapter } = require('./adapter.cjs')
const { mountedAdminView, serveAdminView, urlBelow } = require('./admin-view.cjs')
const { upgrades } = require('./upgrade.cjs')
const { Watch, setTenant, watch } = require('./watch.cjs')

class KoaWatch extends Watch {
  /** @koa/router leaves the template of the route on the context. */
  endpoint() {
    const route = this.subject._matchedRoute
    return route === undefined || route === null ? '' : String(route)
  }
}

function sentinel(sentinel, options) {
  const adapter = new Adapter(sentinel, options)
  return function sentinelMiddleware(ctx, next) {
    watch(adapter, ctx.req, ctx.res, ctx, KoaWatch)
    return next()
  }
}

function admin(sentinel, options) {
  const { view, prefix } = mountedAdminView(sentinel, options)
  return (ctx, next) => {
    const url = urlBelow(prefix, ctx.url)
    if (url === undefined) return next()
    ctx.respond = false
    serveAdminView(view, ctx.req, ctx.res, url)
    return undefined
  }
}

module.exports = { sentinel, admin, setTenant, upgrades }
