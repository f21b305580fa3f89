'use strict'

// Express 4 and 5.
//
// `req.baseUrl` is empty again when the app's error handler answers, and `req.route` outlives a handler that has called `next()`. So
// the template is noted when a route is matched, by accessors on the app's request prototype, and forgotten when the route is left.

const { Adapter } = require('./adapter.cjs')
const { serve } = require('./serve.cjs')
const { Watch, keptOf, watch, watchOf, seenHead, setTenant } = require('./watch.cjs')
const { upgrades } = require('./upgrade.cjs')

const FULL = Symbol('tenant-sentinel.full')

class ExpressWatch extends Watch {
  static seesHeads = true

  constructor(adapter, req, res, subject, outer) {
    super(adapter, req, res, subject, outer)
    this.route = null
    this.base = ''
    /** What was mounted on the way, outermost first: the URL in front of it, and the parameters of the layer that took it. */
    this.bases = []
    this.passedWith = []
  }

  /** A layer of a router has matched, below `base`. */
  passed(base, params) {
    const { bases } = this
    while (bases.length > 0 && bases[bases.length - 1].length >= base.length) {
      bases.pop()
      this.passedWith.pop()
    }
    bases.push(base)
    this.passedWith.push(params)
  }

  matched(route, base) {
    if (this.route === route && this.base === base) return
    this.route = route
    this.base = base
    if (route === undefined || route === null) {
      this.template = ''
      return
    }
    let full = route[FULL]
    if (full === undefined) full = route[FULL] = follow(route)
    if (base === '') {
      this.template = full.path
      return
    }
    const mount = this.mount(base)
    if (full.mount !== mount) {
      full.mount = mount
      full.template = full.path === '/' ? mount : mount + full.path
    }
    this.template = full.template
  }

  /** The template of a mount: `/t/acme` is `/t/:tenant`. */
  mount(base) {
    let out = ''
    for (let i = 0; i < this.bases.length; i++) {
      const from = this.bases[i].length
      if (from >= base.length) break
      const next = this.bases[i + 1]
      const to = next !== undefined && next.length < base.length ? next.length : base.length
      out += named(base.slice(from, to), this.passedWith[i])
    }
    return out
  }
}

/** A piece of a URL with its parameters by their names. */
function named(piece, params) {
  let empty = true
  for (const _ in params) {
    empty = false
    break
  }
  if (empty) return piece
  const segments = piece.split('/')
  for (const name of Object.keys(params)) {
    const values = Array.isArray(params[name]) ? params[name] : [params[name]]
    for (const value of values) {
      // The last one that has this value: what is fixed comes first in most mounts.
      const at = segments.findLastIndex((segment) => segment !== '' && decoded(segment) === value)
      if (at >= 0) segments[at] = `:${name}`
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

/** What is kept of a route: its path as text; and it is seen from now on when a request leaves it unanswered. */
function follow(route) {
  const { path, methods } = route
  if (methods?._all) route.all(left)
  else for (const method of Object.keys(methods ?? {})) if (typeof route[method] === 'function') route[method](left)
  return { path: Array.isArray(path) ? path.map(String).join('|') : String(path), mount: undefined, template: '' }
}

/** The last handler of a route: the others have all called `next()`. */
function left(req, _res, next) {
  for (let each = ours(watchOf(req)); each; each = ours(each.outer)) {
    each.route = null
    each.template = ''
  }
  next()
}

/** The next one of a request's watches that is of an Express adapter. */
function ours(watch) {
  while (watch && !(watch instanceof ExpressWatch)) watch = watch.outer
  return watch
}

/** An accessor in the place of a request's property: what it is set to is kept, and every watch is told. */
const kept = (name, tell) => ({
  configurable: true,
  enumerable: true,
  get() {
    return keptOf(this)[name]
  },
  set(value) {
    const kept = keptOf(this)
    kept[name] = value
    try {
      for (let each = ours(kept.watch); each; each = ours(each.outer)) tell(each, value, this.baseUrl ?? '')
    } catch {
      kept.watch.adapter.inner.failed()
    }
  }
})

const accessors = {
  route: kept('route', (watch, route, base) => watch.matched(route, base)),
  params: kept('params', (watch, params, base) => watch.passed(base, params))
}

const prepared = new WeakSet()

/** Once an app; its requests and responses have these in their prototypes, and those of apps that are mounted in it too. */
function prepare({ request, response }) {
  if (prepared.has(request)) return
  prepared.add(request)
  if ('route' in request) return
  Object.defineProperties(request, accessors)
  const { writeHead } = response
  response.writeHead = function (...given) {
    const out = writeHead.apply(this, given)
    seenHead(this)
    return out
  }
}

/** Middleware that tells a sentinel of every request; add it first. */
function sentinel(sentinel, options) {
  const adapter = new Adapter(sentinel, options)
  return function sentinelMiddleware(req, res, next) {
    try {
      const { app } = req
      if (app === undefined) {
        // Not below an Express app: there are no templates.
        watch(adapter, req, res)
      } else {
        prepare(app)
        // An app's first request has its own ones by now, which hide the accessors.
        if (Object.hasOwn(req, 'params')) {
          const { params } = req
          delete req.params
          req.params = params
        }
        // The router has set the parameters of this layer before there was anybody to tell.
        const watching = watch(adapter, req, res, req, ExpressWatch)
        if (watching !== null) watching.passed(req.baseUrl ?? '', keptOf(req).params)
      }
    } catch {
      adapter.inner.failed()
    }
    next()
  }
}

/** The admin view: `app.use('/sentinel', admin(sentinel))`. Its own requests do not count. */
function admin(sentinel, options) {
  const view = sentinel.admin(options)
  return (req, res) => serve(view, req, res, req.url)
}

module.exports = { sentinel, admin, setTenant, upgrades }
