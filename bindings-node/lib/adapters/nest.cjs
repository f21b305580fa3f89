'use strict'

// Nest: what answers below it is Express or Fastify, and only there are guards' 401 and 403, unknown routes and aborts seen.

const { setTenant } = require('./watch.cjs')
const { upgrades } = require('./upgrade.cjs')
const { placed } = require('./serve.cjs')
const { wrongType } = require('../core/errors.cjs')

/** The adapter of what a Nest application runs on. */
function below(app) {
  let kind
  try {
    kind = app.getHttpAdapter().getType()
  } catch {
    // It is none.
  }
  if (kind === 'express') return require('./express.cjs')
  if (kind === 'fastify') return require('./fastify.cjs')
  throw wrongType('app', app, 'a Nest application on Express or Fastify')
}

/** Tells a sentinel of every request: `sentinel(app, s, options)`, before `app.listen`. */
function sentinel(app, sentinel, options) {
  const adapter = below(app)
  const made = adapter.sentinel(sentinel, options)
  if (adapter === require('./express.cjs')) app.use(made)
  // Its instance, and not Nest's `register`, which is asynchronous; Fastify takes plugins until it is ready.
  else app.getHttpAdapter().getInstance().register(made)
}

/** The admin view below a prefix: `admin(app, s)`. Its own requests do not count. */
function admin(app, sentinel, given) {
  const adapter = below(app)
  const { prefix, options } = placed(given)
  const view = adapter.admin(sentinel, options)
  if (adapter === require('./express.cjs')) app.use(prefix, view)
  else app.getHttpAdapter().getInstance().register(view, { prefix })
}

module.exports = { sentinel, admin, setTenant, upgrades }
