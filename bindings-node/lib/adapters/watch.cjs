'use strict'

// A request that is being answered, until it is counted: once, however it ends. For everything that answers through an
// `http.ServerResponse`.

const { tenantOf } = require('../core/boundary.cjs')
const { Flight } = require('../core/inner.cjs')

const ABORTED = 499
const FAILED = 500
/** Of HTTP/2: what a stream is reset with that this side destroyed. */
const INTERNAL_ERROR = 2
/**
 * What is kept of each request, outside of it: by the request, or by its response where that says by itself how it goes. Express changes
 * the prototype of both, and V8 takes 3 µs for each property that is new on such an object: so there is none.
 */
const KEPT = new WeakMap()

class Kept {
  /** The innermost of what watches the request. */
  watch = null
  /** The status that the head went out with, where that was seen; another one that is set later is told nobody. */
  status = 0
  /** A response that is overheard was handed over as a whole, but for a client that was gone before; and is over. */
  finished = false
  broken = false
  closed = false
  /** In Express: the last route that matched, its template until it is left, and the mount that the request is in. */
  route = undefined
  template = ''
  mount = null
}

/** What is kept of a request or its response; where a middleware has handed on something in the place of one, by the other. */
const keptOf = (req, res) => KEPT.get(res) ?? KEPT.get(req) ?? KEPT.get(res?.req) ?? KEPT.get(req?.res)

/** The same, from now on, where nothing is kept yet. */
function keptFor(req, res) {
  let kept = keptOf(req, res)
  if (kept === undefined) KEPT.set(res, (kept = new Kept()))
  return kept
}

const EVENTS = /^content-type: *text\/event-stream/im
const EVENT_TYPE = /^ *text\/event-stream/i

class Watch extends Flight {
  /** The response tells by itself how it goes (overhear.cjs), and what is kept is kept by it. */
  static isOverheard = false

  constructor(adapter, req, res, subject, kept) {
    super()
    this.adapter = adapter
    this.req = req
    this.res = res
    /** What functions of the application are called with. */
    this.subject = subject
    this.template = ''
    this.named = false
    this.done = false
    this.kept = kept
    /** An adapter of another sentinel, around this one. */
    this.outer = kept.watch
  }

  /** Its template as the framework knows it now; adapters say more. */
  endpoint() {
    return this.template
  }

  /** Whose it is, whatever the request says. */
  setTenant(id) {
    if (this.done) return
    this.named = true
    const tenant = tenantOf(id)
    if (tenant === undefined) this.adapter.inner.failed()
    this.adapter.inner.name(this, tenant ?? '')
  }

  /** It does not count. */
  discard() {
    this.done = true
    this.adapter.inner.land(this)
  }

  /** The answer is complete, or will never be. */
  ended() {
    if (this.done) return
    const { req, res, kept } = this
    // HTTP/2 ends a stream's writable side whatever becomes of it. Not asked of others: in Express, what is not there takes long to find.
    const stream = req.httpVersionMajor === 2 ? res.stream : undefined
    if (stream && (stream.aborted || (stream.rstCode !== 0 && !stream.writableFinished))) {
      this.finish(stream.rstCode === INTERNAL_ERROR ? FAILED : ABORTED)
      return
    }
    // Broken by this side: also what some servers end all the same.
    if (res.writableFinished && !isBroken(res)) this.finish(kept.status || res.statusCode)
    else this.unanswered()
  }

  unanswered() {
    this.finish(!isBroken(this.res) && clientIsGone(this.req) ? ABORTED : FAILED)
  }

  isGone() {
    const { req, res } = this
    // A response that waits behind another one on its connection is told nothing when that ends; nor is one that got another prototype meanwhile.
    return res.closed === true || (res.socket === null && req.socket?.destroyed === true)
  }

  abandon() {
    this.ended()
  }

  finish(status) {
    if (this.done) return
    this.done = true
    const ended = performance.now()
    const { adapter } = this
    let template = adapter.template(this.subject)
    try {
      template ??= this.endpoint() ?? ''
      if (adapter.exclude !== null && adapter.exclude.has(template)) {
        adapter.inner.land(this)
        return
      }
    } catch {
      adapter.inner.failed()
      template ??= ''
    }
    if (adapter.tenant === null || this.named) {
      this.tell(template, status, ended)
      return
    }
    // It is answered, whenever it is known whose it was.
    adapter.inner.land(this)
    adapter.whose(this.subject, (tenant) => {
      adapter.inner.name(this, tenant)
      this.tell(template, status, ended)
    })
  }

  tell(template, status, ended) {
    const { inner } = this.adapter
    try {
      inner.finish(this, typeof template === 'string' ? template : '', status, ended)
    } catch {
      inner.failed()
    }
  }
}

/** What a connection says when the other side has ended it. */
const BY_CLIENT = new Set(['ECONNABORTED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT'])

/** Whether this side has broken it off. */
const isBroken = ({ errored }) => Boolean(errored) && errored.code !== 'EPIPE'

/** Whether it was the client that ended the connection: it closed or reset it. What this side closes is this side's failure. */
function clientIsGone({ socket }) {
  return !socket || socket.readableEnded || BY_CLIENT.has(socket.errored?.code)
}

const closed = (kept) => each(kept, (watch) => watch.ended())

/** Tells all that watch a request, the innermost first. */
function each(kept, tell) {
  for (let { watch } = kept; watch; watch = watch.outer) {
    try {
      tell(watch)
    } catch {
      watch.adapter.inner.failed()
    }
  }
}

/** In the place of a response's `writeHead`: whatever becomes of `res.req`, it is the one of this request. */
const headed = (kept, writeHead) =>
  function (...given) {
    const out = writeHead.apply(this, given)
    // Somebody else may do it in another way, or later; the status is the one that it went out with.
    if (this.headersSent) seenHead(this, kept, this.statusCode)
    return out
  }

/** A stream of events counts when it begins: it may live for days. */
function seenHead(res, kept, status) {
  kept.status = status
  try {
    if (!isEvents(res)) return
  } catch {
    kept.watch?.adapter.inner.failed()
    return
  }
  each(kept, (watch) => watch.finish(status))
}

/** A response that is overheard has its head. */
function heardHead(res, status) {
  const kept = KEPT.get(res)
  if (kept !== undefined) seenHead(res, kept, status)
}

/** All of it is handed over; Node says so as well of what was still to be written when its client went. */
function heardFinish(res) {
  const kept = KEPT.get(res)
  // An app beside the one that is watched has the same layers.
  if (kept === undefined || kept.watch === null) return
  kept.finished = true
  kept.broken = res.socket?.destroyed === true && clientIsGone(kept.watch.req)
}

function heardClose(res) {
  const kept = KEPT.get(res)
  if (kept === undefined) return
  kept.closed = true
  closed(kept)
}

function isEvents(res) {
  const head = res._header
  if (typeof head === 'string') return head.includes('text/event-stream') && EVENTS.test(head)
  // HTTP/2 has no such text.
  if (res.stream === undefined || !res.headersSent) return false
  const type = res.getHeader('content-type')
  return typeof type === 'string' && EVENT_TYPE.test(type)
}

/** Begins to watch a request; nothing where this sentinel watches it already. Never throws. */
function watch(adapter, req, res, subject = req, Class = Watch) {
  const { inner } = adapter
  try {
    if (inner.closed) return null
    const known = KEPT.get(res) ?? KEPT.get(req)
    for (let each = known?.watch; each; each = each.outer) if (each.adapter.inner === inner) return null
    const kept = known ?? new Kept()
    const watch = new Class(adapter, req, res, subject, kept)
    const { header } = adapter
    if (header !== null) {
      const value = req.headers[header]
      if (value !== undefined) {
        watch.tenant = first(req, header, value)
        watch.raw = true
      }
    }
    if (watch.outer === null && !Class.isOverheard) {
      res.on('close', () => closed(kept))
      res.writeHead = headed(kept, res.writeHead)
    }
    inner.takeOff(watch)
    kept.watch = watch
    KEPT.set(Class.isOverheard ? res : req, kept)
    return watch
  } catch {
    inner.failed()
    return null
  }
}

/** A header that was sent twice is its first value, as everywhere else. */
function first(req, header, value) {
  if (typeof value !== 'string') return value[0] ?? ''
  return value.includes(', ') ? (req.headersDistinct?.[header]?.[0] ?? value) : value
}

/** What watches a request: of Node's, or of a framework's around it. */
function watchOf(request) {
  if (typeof request !== 'object' || request === null) return null
  for (const one of [request, request.raw, request.req, request.env?.incoming]) {
    // An Express request, and what was made of one, has its response.
    const found = keptOf(one, one?.res)?.watch
    if (found) return found
  }
  return null
}

/** Says whose request this is: it goes before what the adapter was told, and the last word counts. Never throws. */
function setTenant(request, tenantId) {
  let watch = null
  try {
    watch = watchOf(request)
    for (let each = watch; each; each = each.outer) each.setTenant(tenantId)
  } catch {
    watch?.adapter.inner.failed()
  }
}

/** For the admin views: this request does not count. */
function discard(request) {
  for (let each = watchOf(request); each; each = each.outer) each.discard()
}

module.exports = { Watch, keptOf, keptFor, watch, watchOf, heardHead, heardFinish, heardClose, setTenant, discard, ABORTED, FAILED }
