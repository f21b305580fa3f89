'use strict'

// Plain `node:http`, and whatever else answers through its requests and responses.

const { types } = require('node:util')

const { Adapter } = require('./adapter.cjs')
const { serve, below, mounted } = require('./serve.cjs')
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
      // What is not a promise of the language may only begin to work when somebody waits for it: nobody does here.
      if (watching === null || !types.isPromise(out)) return out
      // Rejected in turn: a rejection that nobody handles must stay one, and end the process as it would without this.
      return out.then(
        (value) => value,
        (error) => {
          watching.finish(FAILED)
          throw error
        }
      )
    }
}

/** The admin view as a handler, below a prefix: false where the request is not for it. */
function admin(sentinel, options) {
  const { view, prefix } = mounted(sentinel, options)
  return (req, res) => {
    const url = below(prefix, req.url)
    if (url === undefined) return false
    serve(view, req, res, url)
    return true
  }
}

module.exports = { sentinel, admin, setTenant, upgrades }
