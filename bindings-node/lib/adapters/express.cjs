'use strict'

// Express 4 and 5.
//
// The template of a request is the templates of its mounts and the path of its route. Neither `req.baseUrl` nor `req.route` tells at
// the end: `baseUrl` is empty again when the app's error handler answers, and `route` outlives a handler that has called `next()`. So
// the template is noted when a router hands a request to a route, and forgotten when the route hands it on.
//
// A router hands a request on by `Layer.prototype.handleRequest` (`handle_request` in Express 4). `hookLayers` wraps that method, once
// for each copy of Express in the process. Nothing is put on requests or responses: a new property there takes V8 about 3 µs.

const { ServerResponse } = require('node:http')
const { types } = require('node:util')

const { Adapter } = require('./adapter.cjs')
const { adminViewOf, serveAdminView } = require('./admin-view.cjs')
const { hookResponses } = require('./response-hooks.cjs')
const { upgrades } = require('./upgrade.cjs')
const { Watch, ensureState, setTenant, stateOf, watch } = require('./watch.cjs')

/** A property of routes: the template below the mount that a request last came through. */
const CACHED_TEMPLATE = Symbol('tenant-sentinel.template')

class ExpressWatch extends Watch {
  endpoint() {
    const { req, state } = this
    // A parameter's handler (`app.param`) has failed: the route matched, and never got the request.
    const { route } = req
    if (route && route !== state.route) routeMatched(state, route, state.mount)
    return state.template
  }
}

/** The Watch of a response that reaches response-hooks.cjs, unless a middleware replaces its prototype: then `closed` is never set. */
class HookedExpressWatch extends ExpressWatch {
  static usesResponseHooks = true

  responseClosed() {
    const { closed, finished, broken, status } = this.state
    if (!closed) super.responseClosed()
    else if (finished && !broken) this.finish(status || this.res.statusCode)
    else this.finishIncomplete()
  }
}

/** A router or an app, below a path, that a request is in. */
class Mount {
  constructor(base, template, outer) {
    /** The part of the URL in front of the router, as the client sent it. */
    this.base = base
    /** The same part as a template. */
    this.template = template
    /** The mount around this one, or null. */
    this.outer = outer
  }
}

/** The innermost mount that a request with this base URL is still in: a router may be left without a call of `next`. */
function currentMount(mount, base) {
  while (mount !== null && !(base.startsWith(mount.base) && (base.length === mount.base.length || base[mount.base.length] === '/'))) {
    mount = mount.outer
  }
  return mount
}

/** The mount of a layer that has cut its part from the URL; `base` is the part of the URL in front of the layer's router. */
function mountOf(layer, outer, base, params) {
  const piece = base.slice(outer === null ? 0 : outer.base.length)
  return new Mount(base, (outer === null ? '' : outer.template) + templateOf(layer, piece, params), outer)
}

/** Notes that a route has matched below a mount. */
function routeMatched(state, route, mount) {
  state.route = route
  let cached = route[CACHED_TEMPLATE]
  if (cached === undefined) cached = route[CACHED_TEMPLATE] = { path: pathOf(route.path), mount: '', template: undefined }
  if (mount === null) {
    state.template = cached.path
    return
  }
  if (cached.template === undefined || cached.mount !== mount.template) {
    cached.mount = mount.template
    cached.template = cached.path === '/' ? mount.template : mount.template + cached.path
  }
  state.template = cached.template
}

const pathOf = (path) => (Array.isArray(path) ? path.map(String).join('|') : String(path))

/** The template of the part of a URL that a layer has cut: the path of the mount where the layer keeps it, else with `:name`s. */
function templateOf(layer, piece, params) {
  // Express 5, with a router that keeps the path.
  if (typeof layer.rawPath === 'string') return layer.rawPath.replace(/\/+$/, '')
  if (Array.isArray(layer.keys) && layer.regexp instanceof RegExp) {
    const found = templateByPosition(layer, piece)
    if (found !== undefined) return found
  }
  return templateByValue(piece, params)
}

/** Patterns of layers with the flag `d`, which makes a match tell the positions of its groups. */
const patternsWithPositions = new WeakMap()

/** Express 4: puts `:name` where the groups of a layer's pattern matched. */
function templateByPosition({ keys, regexp }, piece) {
  let pattern = patternsWithPositions.get(regexp)
  if (pattern === undefined) patternsWithPositions.set(regexp, (pattern = new RegExp(regexp.source, `${regexp.flags.replace(/[dg]/g, '')}d`)))
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

/** Puts `:name` where the value of a parameter is found: for a layer with neither a path nor a pattern that matches. */
function templateByValue(piece, params) {
  const segments = piece.split('/')
  for (const name of Object.keys(params ?? {})) {
    const values = Array.isArray(params[name]) ? params[name] : [params[name]]
    for (const value of values) {
      if (typeof value !== 'string' || value === '') continue
      // The last segment with this value: in most mounts the fixed segments come first.
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

/** Whether the argument of `next` is an error; 'route' and 'router' are signals to the router. */
const isFailure = (error) => Boolean(error) && error !== 'route' && error !== 'router'

/** Notes the route or the mount that a layer hands a request to. Returns the `next` for the layer, which forgets that again. */
function enterLayer(layer, req, res, next) {
  const { route } = layer
  if (route) {
    const state = ensureState(req, res)
    if (state.mount !== null) state.mount = currentMount(state.mount, req.baseUrl ?? '')
    routeMatched(state, route, state.mount)
    return function (error) {
      if (state.route === route && !isFailure(error)) state.template = ''
      return next.apply(this, arguments)
    }
  }
  // The router may come from another copy of Express, with a prototype of its own.
  const first = layer.handle.stack?.[0]
  if (first !== undefined) hookLayers(first)
  // Express 5 and 4: a layer mounted at `/` cuts nothing from the URL.
  if (layer.slash === true || layer.regexp?.fast_slash === true) return next
  const base = req.baseUrl
  if (!base || layer.handle.length > 3) return next
  const state = ensureState(req, res)
  const outer = currentMount(state.mount, base)
  state.mount = outer
  if (outer !== null && outer.base.length === base.length) return next
  state.mount = mountOf(layer, outer, base, req.params)
  return function (error) {
    if (!isFailure(error)) state.mount = outer
    return next.apply(this, arguments)
  }
}

/** Prototypes of layers that are hooked, and apps whose layers are. */
const hooked = new WeakSet()

/** Wraps the method by which all layers with this one's prototype hand a request on. */
function hookLayers(layer) {
  const layers = Object.getPrototypeOf(layer)
  if (layers === null || layers === Object.prototype || hooked.has(layers)) return
  hooked.add(layers)
  for (const name of ['handleRequest', 'handle_request']) {
    const handle = layers[name]
    if (typeof handle !== 'function') continue
    layers[name] = function (req, res, next) {
      let layerNext = next
      try {
        layerNext = enterLayer(this, req, res, next)
      } catch {
        stateOf(req, res)?.watch?.adapter.recorder.countFailure()
      }
      return handle.call(this, req, res, layerNext)
    }
  }
}

/** Hooks the layers of an app. Returns the class of Watch for its requests whose responses have this prototype; null is a proxy's. */
function prepareApp(app, prototype) {
  const first = stackOf(app)?.[0]
  if (first === undefined) return Watch
  hookLayers(first)
  hooked.add(app)
  return prototype !== null && hookResponses(prototype) ? HookedExpressWatch : ExpressWatch
}

/** The layers of an app. Express 4 has its router as `_router`, and throws for `router`. */
const stackOf = (app) => (app._router ?? app.router)?.stack

/** The layers that lead to a middleware, outermost first; `undefined` where none does. */
function layersTo(stack, middleware) {
  for (const layer of stack ?? []) {
    if (layer.handle === middleware) return []
    const inner = layersTo(layer.handle?.stack, middleware)
    if (inner !== undefined) return [layer, ...inner]
  }
  return undefined
}

/** The mounts that the first request passed before the layers were hooked. */
function mountsBefore(req, middleware) {
  let mount = null
  let rest = req.baseUrl
  for (const layer of layersTo(stackOf(req.app), middleware) ?? []) {
    const match = layer.match(rest)
    if (!match) return mount
    const { params, path } = match === true ? layer : match
    const base = (mount === null ? '' : mount.base) + path.replace(/\/$/, '')
    if (base.length > (mount === null ? 0 : mount.base.length)) mount = mountOf(layer, mount, base, params)
    rest = req.baseUrl.slice(base.length) || '/'
  }
  return mount
}

function sentinel(sentinel, options) {
  const adapter = new Adapter(sentinel, options)
  /** The prototype of the last response, and the class of Watch for it: nearly always that of the next one too. */
  let knownPrototype = ServerResponse.prototype
  let Class = Watch
  return function sentinelMiddleware(req, res, next) {
    try {
      // The hooks would see the response behind a proxy, and the state is found by the proxy.
      const prototype = types.isProxy(res) ? null : Object.getPrototypeOf(res)
      let isFirst = false
      if (prototype !== knownPrototype) {
        knownPrototype = prototype
        // A request outside of an Express app has no templates.
        Class = Watch
        const { app } = req
        if (app !== undefined) {
          isFirst = !hooked.has(app)
          try {
            Class = prepareApp(app, prototype)
          } catch {
            // `app` only looks like an Express app.
            adapter.recorder.countFailure()
          }
        }
      }
      watch(adapter, req, res, req, Class)
      if (isFirst && req.baseUrl) {
        const state = ensureState(req, res)
        state.mount ??= mountsBefore(req, sentinelMiddleware)
      }
    } catch {
      adapter.recorder.countFailure()
    }
    next()
  }
}

function admin(sentinel, options) {
  const view = adminViewOf(sentinel, options)
  return (req, res) => serveAdminView(view, req, res, req.url)
}

module.exports = { sentinel, admin, setTenant, upgrades }
