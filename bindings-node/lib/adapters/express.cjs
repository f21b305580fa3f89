'use strict'

// Express 4 and 5.
//
// `req.baseUrl` is empty again when the app's error handler answers, and `req.route` outlives a handler that has called `next()`. So
// the template is noted when a router hands a request to a route, and forgotten when that hands it on. A router does that by a method
// of its layers, and there it is seen: nothing is put on requests, and nothing on responses.

const { ServerResponse } = require('node:http')
const { types } = require('node:util')
const { Adapter } = require('./adapter.cjs')
const { overhears } = require('./overhear.cjs')
const { serve, viewOf } = require('./serve.cjs')
const { Watch, keptOf, keptFor, watch, setTenant } = require('./watch.cjs')
const { upgrades } = require('./upgrade.cjs')

const FULL = Symbol('tenant-sentinel.full')

class ExpressWatch extends Watch {
  endpoint() {
    const { req, kept } = this
    // What the application does with a parameter has failed: the route matched, and never got the request.
    const { route } = req
    if (route && route !== kept.route) matched(kept, route, kept.mount)
    return kept.template
  }
}

/** Of a response that is overheard: it has said how it went, unless it has become something that says nothing. */
class OverheardWatch extends ExpressWatch {
  static isOverheard = true

  ended() {
    const { closed, finished, broken, status } = this.kept
    if (!closed) super.ended()
    else if (finished && !broken) this.finish(status || this.res.statusCode)
    else this.unanswered()
  }
}

/** A router or an app that a request is in: the URL in front of it, as it came and as a template. */
class Mount {
  constructor(base, template, outer) {
    this.base = base
    this.template = template
    this.outer = outer
  }
}

/** The innermost mount that a request is still in: one may have been left without a word. */
function innermost(mount, base) {
  while (mount !== null && !(base.startsWith(mount.base) && (base.length === mount.base.length || base[mount.base.length] === '/'))) {
    mount = mount.outer
  }
  return mount
}

/** A layer has cut its part from the URL; `base` is what is in front of it now. */
function mounted(layer, outer, base, params) {
  const piece = base.slice(outer === null ? 0 : outer.base.length)
  return new Mount(base, (outer === null ? '' : outer.template) + named(layer, piece, params), outer)
}

/** A route has matched below a mount. */
function matched(kept, route, mount) {
  kept.route = route
  let full = route[FULL]
  if (full === undefined) full = route[FULL] = { path: pathOf(route.path), mount: '', template: undefined }
  if (mount === null) {
    kept.template = full.path
    return
  }
  if (full.template === undefined || full.mount !== mount.template) {
    full.mount = mount.template
    full.template = full.path === '/' ? mount.template : mount.template + full.path
  }
  kept.template = full.template
}

const pathOf = (path) => (Array.isArray(path) ? path.map(String).join('|') : String(path))

/** A piece of a URL as a template: as the layer was mounted where it knows, or with its parameters by their names. */
function named(layer, piece, params) {
  // Express 5 with a router that keeps it.
  if (typeof layer.rawPath === 'string') return layer.rawPath.replace(/\/+$/, '')
  if (Array.isArray(layer.keys) && layer.regexp instanceof RegExp) {
    const found = byPosition(layer, piece)
    if (found !== undefined) return found
  }
  return byValue(piece, params)
}

/** Express 4: by where the groups of a layer's pattern matched. */
const POSITIONS = new WeakMap()

function byPosition({ keys, regexp }, piece) {
  let pattern = POSITIONS.get(regexp)
  if (pattern === undefined) POSITIONS.set(regexp, (pattern = new RegExp(regexp.source, `${regexp.flags.replace(/[dg]/g, '')}d`)))
  const match = pattern.exec(piece)
  if (match === null) return undefined
  let out = ''
  let at = 0
  for (let i = 1; i < match.length; i++) {
    const found = match.indices[i]
    if (found === undefined || found[0] < at || keys[i - 1] === undefined) continue
    out += `${piece.slice(at, found[0])}:${keys[i - 1].name}`
    at = found[1]
  }
  return out + piece.slice(at)
}

function byValue(piece, params) {
  const segments = piece.split('/')
  for (const name of Object.keys(params ?? {})) {
    const values = Array.isArray(params[name]) ? params[name] : [params[name]]
    for (const value of values) {
      if (typeof value !== 'string' || value === '') continue
      // The last one that has this value: what is fixed comes first in most mounts.
      let at = segments.findLastIndex((segment) => segment !== '' && decoded(segment) === value)
      if (at >= 0) {
        segments[at] = `:${name}`
        continue
      }
      at = segments.findLastIndex((segment) => decoded(segment).includes(value))
      if (at < 0) continue
      const segment = decoded(segments[at])
      const from = segment.lastIndexOf(value)
      segments[at] = `${segment.slice(0, from)}:${name}${segment.slice(from + value.length)}`
    }
  }
  return segments.join('/')
}

function decoded(segment) {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

/** Whether a request that is handed on has failed; the others are signals to routers. */
const isFailure = (error) => Boolean(error) && error !== 'route' && error !== 'router'

/** Notes what a layer is about to get; returns what it is to hand the request on with. */
function passing(layer, req, res, next) {
  const { route } = layer
  if (route) {
    const kept = keptFor(req, res)
    if (kept.mount !== null) kept.mount = innermost(kept.mount, req.baseUrl ?? '')
    matched(kept, route, kept.mount)
    return function (error) {
      if (kept.route === route && !isFailure(error)) kept.template = ''
      return next.apply(this, arguments)
    }
  }
  // A router of another copy of Express.
  const first = layer.handle.stack?.[0]
  if (first !== undefined) follow(first)
  // In Express 5 and 4: it cuts nothing from the URL.
  if (layer.slash === true || layer.regexp?.fast_slash === true) return next
  const base = req.baseUrl
  if (!base || layer.handle.length > 3) return next
  const kept = keptFor(req, res)
  const outer = innermost(kept.mount, base)
  kept.mount = outer
  if (outer !== null && outer.base.length === base.length) return next
  kept.mount = mounted(layer, outer, base, req.params)
  return function (error) {
    if (!isFailure(error)) kept.mount = outer
    return next.apply(this, arguments)
  }
}

const prepared = new WeakSet()

/** Sees from now on what all layers of this one's kind get. */
function follow(layer) {
  const layers = Object.getPrototypeOf(layer)
  if (layers === null || layers === Object.prototype || prepared.has(layers)) return
  prepared.add(layers)
  for (const name of ['handleRequest', 'handle_request']) {
    const handle = layers[name]
    if (typeof handle !== 'function') continue
    layers[name] = function (req, res, next) {
      let onwards = next
      try {
        onwards = passing(this, req, res, next)
      } catch {
        keptOf(req, res)?.watch?.adapter.inner.failed()
      }
      return handle.call(this, req, res, onwards)
    }
  }
}

/** Once an app: its layers; how its requests are watched whose responses are of this kind, which may not be known. */
function prepare(app, kind) {
  const first = stackOf(app)?.[0]
  if (first === undefined) return Watch
  follow(first)
  prepared.add(app)
  return kind !== null && overhears(kind) ? OverheardWatch : ExpressWatch
}

/** Express 4 has an app's router as `_router`, and an error as `router`. */
const stackOf = (app) => (app._router ?? app.router)?.stack

/** The mounts that lead to a middleware, outermost first: for the first request, which passed them unseen. */
function way(stack, middleware) {
  for (const layer of stack ?? []) {
    if (layer.handle === middleware) return []
    const inner = way(layer.handle?.stack, middleware)
    if (inner !== undefined) return [layer, ...inner]
  }
  return undefined
}

function mountsOf(req, middleware) {
  let mount = null
  let rest = req.baseUrl
  for (const layer of way(stackOf(req.app), middleware) ?? []) {
    const match = layer.match(rest)
    if (!match) return mount
    const { params, path } = match === true ? layer : match
    const base = (mount === null ? '' : mount.base) + path.replace(/\/$/, '')
    if (base.length > (mount === null ? 0 : mount.base.length)) mount = mounted(layer, mount, base, params)
    rest = req.baseUrl.slice(base.length) || '/'
  }
  return mount
}

/** Middleware that tells a sentinel of every request; add it first. */
function sentinel(sentinel, options) {
  const adapter = new Adapter(sentinel, options)
  /** Of the responses of the app that asked last, and how its requests are watched. */
  let known = ServerResponse.prototype
  let Class = Watch
  return function sentinelMiddleware(req, res, next) {
    try {
      // What a proxy stands for tells by itself, and that is not it.
      const kind = types.isProxy(res) ? null : Object.getPrototypeOf(res)
      let isFirst = false
      if (kind !== known) {
        known = kind
        // Not below an Express app: there are no templates.
        Class = Watch
        const { app } = req
        if (app !== undefined) {
          isFirst = !prepared.has(app)
          try {
            Class = prepare(app, kind)
          } catch {
            // Nor here: it only looks like one.
            adapter.inner.failed()
          }
        }
      }
      watch(adapter, req, res, req, Class)
      if (isFirst && req.baseUrl) {
        const kept = keptFor(req, res)
        kept.mount ??= mountsOf(req, sentinelMiddleware)
      }
    } catch {
      adapter.inner.failed()
    }
    next()
  }
}

/** The admin view: `app.use('/sentinel', admin(sentinel))`. Its own requests do not count. */
function admin(sentinel, options) {
  const view = viewOf(sentinel, options)
  return (req, res) => serve(view, req, res, req.url)
}

module.exports = { sentinel, admin, setTenant, upgrades }
