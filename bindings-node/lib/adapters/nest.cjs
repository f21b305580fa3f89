'use strict'

// Nest runs on Express or Fastify, and this adapter installs theirs: only below Nest are the 401 and 403 of guards, unknown routes and
// aborted requests seen.

const { wrongType } = require('../core/errors.cjs')
const { mountOptions } = require('./admin-view.cjs')
const { upgrades } = require('./upgrade.cjs')
const { setTenant } = require('./watch.cjs')

/** The adapter of the platform that a Nest application runs on. */
function platformAdapter(app) {
  let platform
  try {
    platform = app.getHttpAdapter().getType()
  } catch {
    // `app` is no Nest application: `platform` stays undefined.
  }
  if (platform === 'express') return require('./express.cjs')
  if (platform === 'fastify') return require('./fastify.cjs')
  throw wrongType('app', app, 'a Nest application on Express or Fastify')
}

function sentinel(app, sentinel, options) {
  const adapter = platformAdapter(app)
  const plugin = adapter.sentinel(sentinel, options)
  if (adapter === require('./express.cjs')) app.use(plugin)
  // Fastify's own `register`, since Nest's is asynchronous; Fastify takes plugins until it is ready.
  else app.getHttpAdapter().getInstance().register(plugin)
}

function admin(app, sentinel, given) {
  const adapter = platformAdapter(app)
  const { prefix, options } = mountOptions(given)
  const view = adapter.admin(sentinel, options)
  if (adapter === require('./express.cjs')) app.use(prefix, view)
  else app.getHttpAdapter().getInstance().register(view, { prefix })
}

module.exports = { sentinel, admin, setTenant, upgrades }
