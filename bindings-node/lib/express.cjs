'use strict'

// Express 4 and 5.
//
// `req.baseUrl` is empty again when the app's error handler answers, and `req.route` outlives a handler that has called `next()`. So
// the template is noted when a route is matched, by accessors on the app's request prototype, and forgotten when the route is left.

const { Adapter } = require('./adapter.cjs')
const { serve } = require('./serve.cjs')
const { Watch, WATCH, watch, setTenant } = require('./watch.cjs')
const { upgrades } = require('./upgrade.cjs')

const ROUTE = Symbol('tenant-sentinel.route')
const PARAMS = Symbol('tenant-sentinel.params')
const FULL = Symbol('tenant-sentinel.full')

class ExpressWatch extends Watch {
  constructor(adapter, req, res, subject) {
    super(adapter, req, res, subject)
    this.route = null
    this.base = ''
    /** What was mounted on the way, outermost first: the URL in front of it, and the parameters of the layer that took it. */
    this.bases = []
    this.params = []
  }

  /** A layer of a router has matched, below `base`. */
  passed(base, params) {
    const { bases } = this
    while (bases.length > 0 && bases[bases.length - 1].length >= base.length) {
      bases.pop()
      this.params.pop()
    }
    bases.push(base)
    this.params.push(params)
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
      out += named(base.slice(from, to), this.params[i])
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
  for (let each = req[WATCH]; each; each = each.outer) {
    if (each instanceof ExpressWatch) {
      each.route = null
      each.template = ''
    }
  }
  next()
}

const accessors = {
  route: {
    configurable: true,
    enumerable: true,
    get() {
      return this[ROUTE]
    },
    set(route) {
      this[ROUTE] = route
      try {
        for (let each = this[WATCH]; each; each = each.outer) if (each instanceof ExpressWatch) each.matched(route, this.baseUrl ?? '')
      } catch {
        this[WATCH].adapter.inner.failed()
      }
    }
  },
  params: {
    configurable: true,
    enumerable: true,
    get() {
      return this[PARAMS]
    },
    set(params) {
      this[PARAMS] = params
      for (let each = this[WATCH]; each; each = each.outer) if (each instanceof ExpressWatch) each.passed(this.baseUrl ?? '', params)
    }
  }
}

const prepared = new WeakSet()

function prepare(req) {
  const prototype = req.app?.request
  if (prototype !== undefined && !prepared.has(prototype)) {
    prepared.add(prototype)
    if (!('route' in prototype)) Object.defineProperties(prototype, accessors)
  }
  // Set before the prototype had its accessors: it would hide them.
  if (Object.hasOwn(req, 'params')) {
    const { params } = req
    delete req.params
    req.params = params
  }
}

/** Middleware that tells a sentinel of every request; add it first. */
function sentinel(sentinel, options) {
  const adapter = new Adapter(sentinel, options)
  return function sentinelMiddleware(req, res, next) {
    try {
      const before = req.params
      prepare(req)
      const watching = watch(adapter, req, res, req, ExpressWatch)
      if (watching !== null) watching.passed(req.baseUrl ?? '', before)
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
