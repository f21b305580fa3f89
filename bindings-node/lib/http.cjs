'use strict'

// Plain `node:http`, and whatever else answers through its requests and responses.

const { Adapter } = require('./adapter.cjs')
const { serve, below } = require('./serve.cjs')
const { FAILED, watch, setTenant } = require('./watch.cjs')
const { upgrades } = require('./upgrade.cjs')

/** Wraps a request handler: `createServer(sentinel(s, options)(handler))`. What it throws goes on its way. */
function sentinel(sentinel, options) {
  const adapter = new Adapter(sentinel, options)
  return (handler) =>
    function sentinelHandler(req, res) {
      const watching = watch(adapter, req, res)
      let out
      try {
        out = handler.call(this, req, res)
      } catch (error) {
        watching?.finish(FAILED)
        throw error
      }
      // Told on the side: who waits for it gets the very same promise.
      if (watching !== null && typeof out?.then === 'function') out.then(undefined, () => watching.finish(FAILED))
      return out
    }
}

/** The admin view as a handler, below a prefix: false where the request is not for it. */
function admin(sentinel, { prefix = '/sentinel', ...options } = {}) {
  const view = sentinel.admin(options)
  return (req, res) => {
    const url = below(prefix, req.url)
    if (url === undefined) return false
    serve(view, req, res, url)
    return true
  }
}

module.exports = { sentinel, admin, setTenant, upgrades }
