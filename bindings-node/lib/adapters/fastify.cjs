'use strict'

const { Adapter } = require('./adapter.cjs')
const { viewOf, withoutSlash } = require('./serve.cjs')
const { Watch, watch, watchOf, setTenant, discard } = require('./watch.cjs')
const { handshake, upgrades } = require('./upgrade.cjs')

class FastifyWatch extends Watch {
  endpoint() {
    // No URL: the handler of what is not found.
    return this.subject.routeOptions.url ?? ''
  }
}

/** A plugin that tells a sentinel of every request of the whole instance: `app.register(sentinel(s, options))`. */
function sentinel(sentinel, options) {
  const adapter = new Adapter(sentinel, options)
  function plugin(fastify, _options, done) {
    fastify.addHook('onRequest', (request, reply, next) => {
      watch(adapter, request.raw, reply.raw, request, FastifyWatch)
      next()
    })
    // @fastify/websocket answers past the reply, where a handler accepts: the handshake counts, and not how long the connection lives.
    fastify.addHook('preHandler', (request, reply, next) => {
      const watching = request.ws === true ? watchOf(request) : null
      if (watching !== null) {
        try {
          handshake(reply.raw.socket, (status) => {
            for (let each = watching; each; each = each.outer) each.finish(status)
          })
        } catch {
          adapter.inner.failed()
        }
      }
      next()
    })
    done()
  }
  return global(plugin, 'tenant-sentinel')
}

/** Has a plugin's hooks apply to where it is registered, and not only inside of it; what fastify-plugin does. */
function global(plugin, name) {
  plugin[Symbol.for('skip-override')] = true
  plugin[Symbol.for('fastify.display-name')] = name
  plugin[Symbol.for('plugin-meta')] = { fastify: '5.x', name }
  return plugin
}

/** The admin view: `app.register(admin(s), { prefix: '/sentinel' })`. Its own requests do not count. */
function admin(sentinel, options) {
  const view = viewOf(sentinel, options)
  return function sentinelAdmin(fastify, _options, done) {
    // With those of the plugins around this one, and not as parts of the URL: they may have parameters.
    const prefix = withoutSlash(fastify.prefix)
    const depth = prefix.split('/').length
    const handler = (request, reply) => {
      discard(request)
      const { url } = request.raw
      const at = url.indexOf('?')
      const path = at < 0 ? url : url.slice(0, at)
      // Not Fastify's `*`, which it has decoded.
      const rest = path.split('/').slice(depth)
      const below = rest.length === 0 ? '' : `/${rest.join('/')}`
      const { status, headers, body } = view.respondTo(request.method, below + url.slice(path.length), request.headers.authorization)
      return reply.code(status).headers(headers).send(body)
    }
    for (const url of prefix === '' ? ['/*'] : ['/', '/*']) fastify.all(url, handler)
    done()
  }
}

module.exports = { sentinel, admin, setTenant, upgrades }
