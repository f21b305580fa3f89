'use strict'

const { Adapter } = require('./adapter.cjs')
const { adminViewOf, withoutTrailingSlash } = require('./admin-view.cjs')
const { onHandshake, upgrades } = require('./upgrade.cjs')
const { Watch, discard, forEachWatch, setTenant, watch, watchOf } = require('./watch.cjs')

class FastifyWatch extends Watch {
  /** The handler of unknown routes has no URL. */
  endpoint() {
    return this.subject.routeOptions.url ?? ''
  }
}

function sentinel(sentinel, options) {
  const adapter = new Adapter(sentinel, options)
  function plugin(fastify, _options, done) {
    fastify.addHook('onRequest', (request, reply, next) => {
      watch(adapter, request.raw, reply.raw, request, FastifyWatch)
      next()
    })
    // @fastify/websocket answers on the socket, past the reply: the request ends with the handshake, not with the connection.
    fastify.addHook('preHandler', (request, reply, next) => {
      const watching = request.ws === true ? watchOf(request) : null
      if (watching !== null) {
        adapter.recorder.attempt(() => {
          onHandshake(reply.raw.socket, (status) => forEachWatch(watching, (each) => each.finish(status)))
        })
      }
      next()
    })
    done()
  }
  return applyToParent(plugin, 'tenant-sentinel')
}

/** Makes a plugin's hooks apply to the instance that registers it, not only inside of the plugin; fastify-plugin does the same. */
function applyToParent(plugin, name) {
  plugin[Symbol.for('skip-override')] = true
  plugin[Symbol.for('fastify.display-name')] = name
  plugin[Symbol.for('plugin-meta')] = { fastify: '5.x', name }
  return plugin
}

function admin(sentinel, options) {
  const view = adminViewOf(sentinel, options)
  return function sentinelAdmin(fastify, _options, done) {
    // `fastify.prefix` includes the prefixes of the plugins around this one, which may have parameters. So the mount is cut from a URL
    // by the number of its segments, not by its text.
    const prefix = withoutTrailingSlash(fastify.prefix)
    const depth = prefix.split('/').length
    const handler = (request, reply) => {
      discard(request)
      const { url } = request.raw
      const at = url.indexOf('?')
      const path = at < 0 ? url : url.slice(0, at)
      // Fastify's parameter `*` is decoded already, and the view needs the path percent-encoded.
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
