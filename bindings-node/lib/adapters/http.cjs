'use strict'

// Plain `node:http`, and any other server that answers through its requests and responses.

const { types } = require('node:util')

const { STATUS_FAILED } = require('../core/boundary.cjs')
const { Adapter } = require('./adapter.cjs')
const { mountedAdminView, serveAdminView, urlBelow } = require('./admin-view.cjs')
const { upgrades } = require('./upgrade.cjs')
const { setTenant, watch } = require('./watch.cjs')

function sentinel(sentinel, options) {
  const adapter = new Adapter(sentinel, options)
  return (handler) =>
    function sentinelHandler(req, res) {
      const watching = watch(adapter, req, res)
      let out
      try {
        out = handler.call(this, req, res)
      } catch (error) {
        watching?.finish(STATUS_FAILED)
        throw error
      }
      // Another thenable than a promise of the language may begin its work at the first `then`, which is the application's to call.
      if (watching === null || !types.isPromise(out)) return out
      // The error is thrown again, so that an unhandled rejection ends the process as it would without the adapter.
      return out.then(
        (value) => value,
        (error) => {
          watching.finish(STATUS_FAILED)
          throw error
        }
      )
    }
}

function admin(sentinel, options) {
  const { view, prefix } = mountedAdminView(sentinel, options)
  return (req, res) => {
    const url = urlBelow(prefix, req.url)
    if (url === undefined) return false
    serveAdminView(view, req, res, url)
    return true
  }
}

module.exports = { sentinel, admin, setTenant, upgrades }
