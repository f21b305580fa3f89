'use strict'

// Watches a request from its arrival until it is recorded: exactly once, however it ends. Used by every adapter whose framework answers
// through an `http.ServerResponse`.
//
//   watch()                 creates a Watch and adds it to the requests in flight
//     Watch.finish(status)  is called by the first of these:
//       close               of the response: complete, or broken by the client (499) or by this side (500)
//       the head            of a stream of server-sent events, which may last for days
//       the adapter         for a handler that threw, or a handshake
//       sweep (recorder)    for a response that is over and never emitted `close`
//     Watch.discard()       for the admin view: the request does not count
//
// Each request has one RequestState. `state.watch` is the innermost Watch, and each Watch has an `outer`: there are several when an
// application installs adapters of several sentinels, and each sentinel counts the request.
//
// Invariants: a request has at most one Watch for each sentinel; once `done` is set, a Watch neither records nor changes; `watch`,
// `setTenant` and the listeners never throw into the application, and each failure is counted in `stats().adapterFailures`.
//
// Why not a property on the request: Express changes the prototype of requests and responses, and V8 takes about 3 µs for each new
// property on such an object. So the state is in a WeakMap. The key is the request, except in Express: response-hooks.cjs knows nothing
// but the response, so the response is the key there.

const { tenantOf, STATUS_ABORTED, STATUS_FAILED } = require('../core/boundary.cjs')
const { Flight } = require('../core/recorder.cjs')

/** HTTP/2: the code of a stream that this side has destroyed. */
const HTTP2_INTERNAL_ERROR = 2

const states = new WeakMap()

class RequestState {
  /** The innermost Watch of the request. */
  watch = null
  /** The status that the head was sent with, or 0; the application may change `res.statusCode` afterwards, without effect. */
  status = 0
  // Set for a Watch that the prototype's hooks serve:
  /** The response has emitted `finish`. */
  finished = false
  /** The client had gone before `finish`. */
  broken = false
  /** The response has emitted `close`. */
  closed = false
  // Set by express.cjs:
  /** The last route that matched. */
  route = undefined
  /** The template of that route, or '' once the route has handed the request on. */
  template = ''
  /** The innermost mount that the request is in. */
  mount = null
}

/** The state of a request; where a middleware has replaced the request or the response, the one that is left leads to it. */
const stateOf = (req, res) => states.get(res) ?? states.get(req) ?? states.get(res?.req) ?? states.get(req?.res)

/** The state of a request, created where there is none yet. */
function ensureState(req, res) {
  let state = stateOf(req, res)
  if (state === undefined) states.set(res, (state = new RequestState()))
  return state
}

class Watch extends Flight {
  /** Whether response-hooks.cjs reports the head and the end of the response, whose state is then found by the response. */
  static usesResponseHooks = false

  constructor(adapter, req, res, subject, state) {
    super()
    this.adapter = adapter
    this.req = req
    this.res = res
    /** The argument of the application's functions: the framework's own request or context. */
    this.subject = subject
    this.template = ''
    /** `setTenant` was called for this request. */
    this.hasExplicitTenant = false
    this.done = false
    this.state = state
    /** The Watch of another sentinel's adapter, around this one. */
    this.outer = state.watch
  }

  /** The route template as the framework knows it now; each adapter overrides this. */
  endpoint() {
    return this.template
  }

  /** Sets the tenant; goes before the adapter's option `tenant`. */
  setTenant(id) {
    if (this.done) return
    this.hasExplicitTenant = true
    const { recorder } = this.adapter
    recorder.setFlightTenant(this, recorder.valueOrEmpty(tenantOf(id)))
  }

  /** Ends the watch without recording the request. */
  discard() {
    this.done = true
    this.adapter.recorder.endFlight(this)
  }

  /** Records the request: its response is closed, complete or not. */
  responseClosed() {
    if (this.done) return
    const { req, res, state } = this
    // HTTP/2 ends the writable side of a stream in any case. `stream` is read for HTTP/2 only: in Express, looking for a property that
    // is not there takes long.
    const stream = req.httpVersionMajor === 2 ? res.stream : undefined
    if (stream && (stream.aborted || (stream.rstCode !== 0 && !stream.writableFinished))) {
      this.finish(stream.rstCode === HTTP2_INTERNAL_ERROR ? STATUS_FAILED : STATUS_ABORTED)
      return
    }
    // Some servers end a response that this side has broken, which then counts as writableFinished too.
    if (res.writableFinished && !isBroken(res)) this.finish(state.status || res.statusCode)
    else this.finishIncomplete()
  }

  finishIncomplete() {
    this.finish(!isBroken(this.res) && clientIsGone(this.req) ? STATUS_ABORTED : STATUS_FAILED)
  }

  /**
   * Whether the response is over although no `close` reached this Watch. That happens to a response that waits behind another one on
   * its connection when the connection ends, and to a response whose prototype was replaced.
   */
  isGone() {
    const { req, res } = this
    return res.closed === true || (res.socket === null && req.socket?.destroyed === true)
  }

  abandon() {
    this.responseClosed()
  }

  /** Records the request with this status, unless that was done or its route is excluded. */
  finish(status) {
    if (this.done) return
    this.done = true
    const ended = performance.now()
    const { adapter } = this
    let template = adapter.endpointByFunction(this.subject)
    try {
      template ??= this.endpoint() ?? ''
      if (adapter.excluded !== null && adapter.excluded.has(template)) {
        adapter.recorder.endFlight(this)
        return
      }
    } catch {
      adapter.recorder.countFailure()
      template ??= ''
    }
    if (adapter.tenantFunction === null || this.hasExplicitTenant) {
      this.record(template, status, ended)
      return
    }
    // The request is answered, and so no longer in flight, however long its tenant function takes.
    adapter.recorder.endFlight(this)
    adapter.resolveTenant(this.subject, (tenant) => {
      adapter.recorder.setFlightTenant(this, tenant)
      this.record(template, status, ended)
    })
  }

  record(template, status, ended) {
    const { recorder } = this.adapter
    try {
      recorder.finishFlight(this, typeof template === 'string' ? template : '', status, ended)
    } catch {
      recorder.countFailure()
    }
  }
}

/** Codes of a connection that the other side has ended. */
const CLIENT_GONE_CODES = new Set(['ECONNABORTED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT'])

/** Whether this side has broken the response. */
const isBroken = ({ errored }) => Boolean(errored) && errored.code !== 'EPIPE'

/** Whether the client has closed or reset the connection. A connection that this side closes is a failure of this side. */
function clientIsGone({ socket }) {
  return !socket || socket.readableEnded || CLIENT_GONE_CODES.has(socket.errored?.code)
}

/** Calls `act` for every watch of a request, the innermost first. */
function forEachWatch(innermost, act) {
  for (let watch = innermost; watch; watch = watch.outer) act(watch)
}

/** The same; an error of one watch is counted, and the next one follows. */
function attemptForEachWatch(state, act) {
  for (let { watch } = state; watch; watch = watch.outer) {
    try {
      act(watch)
    } catch {
      watch.adapter.recorder.countFailure()
    }
  }
}

const closeAll = (state) => attemptForEachWatch(state, (watch) => watch.responseClosed())

/** Replaces `writeHead` of one response. The function keeps `state`, since a middleware may replace `res.req`. */
const watchedWriteHead = (state, writeHead) =>
  function (...given) {
    const out = writeHead.apply(this, given)
    // A middleware that has replaced `writeHead` too may send the head later, or with another status than it was given.
    if (this.headersSent) headSent(this, state, this.statusCode)
    return out
  }

/** Notes the status of the head. A stream of server-sent events is recorded now, since it may last for days. */
function headSent(res, state, status) {
  state.status = status
  try {
    if (!isEventStream(res)) return
  } catch {
    state.watch?.adapter.recorder.countFailure()
    return
  }
  attemptForEachWatch(state, (watch) => watch.finish(status))
}

/** Called by response-hooks.cjs: a response has sent its head. */
function onResponseHead(res, status) {
  const state = states.get(res)
  if (state !== undefined) headSent(res, state, status)
}

/** Called by response-hooks.cjs: a response emits `finish`. Node emits it too when the client goes before the last bytes are sent. */
function onResponseFinish(res) {
  const state = states.get(res)
  // A state without a watch: the request of another Express app in this process, whose layers have the same prototype.
  if (state === undefined || state.watch === null) return
  state.finished = true
  state.broken = res.socket?.destroyed === true && clientIsGone(state.watch.req)
}

/** Called by response-hooks.cjs: a response has emitted `close`. */
function onResponseClose(res) {
  const state = states.get(res)
  if (state === undefined) return
  state.closed = true
  closeAll(state)
}

const EVENT_STREAM_HEADER = /^content-type: *text\/event-stream/im
const EVENT_STREAM_TYPE = /^ *text\/event-stream/i

function isEventStream(res) {
  const head = res._header
  if (typeof head === 'string') return head.includes('text/event-stream') && EVENT_STREAM_HEADER.test(head)
  // HTTP/2 has no text of the head.
  if (res.stream === undefined || !res.headersSent) return false
  const type = res.getHeader('content-type')
  return typeof type === 'string' && EVENT_STREAM_TYPE.test(type)
}

/**
 * Begins to watch a request, by a Watch of class `Class`. Returns null where this sentinel watches the request already, is closed, or
 * the watch failed. Never throws.
 */
function watch(adapter, req, res, subject = req, Class = Watch) {
  const { recorder } = adapter
  try {
    if (recorder.closed) return null
    const known = states.get(res) ?? states.get(req)
    for (let other = known?.watch; other; other = other.outer) if (other.adapter.recorder === recorder) return null
    const state = known ?? new RequestState()
    const watch = new Class(adapter, req, res, subject, state)
    const { tenantHeader } = adapter
    if (tenantHeader !== null) {
      const value = req.headers[tenantHeader]
      if (value !== undefined) {
        watch.tenant = firstValue(req, tenantHeader, value)
        watch.isLatin1 = true
      }
    }
    if (watch.outer === null && !Class.usesResponseHooks) {
      res.on('close', () => closeAll(state))
      res.writeHead = watchedWriteHead(state, res.writeHead)
    }
    recorder.startFlight(watch)
    state.watch = watch
    states.set(Class.usesResponseHooks ? res : req, state)
    return watch
  } catch {
    recorder.countFailure()
    return null
  }
}

/** The first value of a header that was sent more than once. */
function firstValue(req, header, value) {
  if (typeof value !== 'string') return value[0] ?? ''
  return value.includes(', ') ? (req.headersDistinct?.[header]?.[0] ?? value) : value
}

/** The innermost watch of a request: one of node:http, or a framework's request or context around it. */
function watchOf(request) {
  if (typeof request !== 'object' || request === null) return null
  for (const candidate of [request, request.raw, request.req, request.env?.incoming]) {
    // An Express request, and an object made of one, has its response as `res`.
    const found = stateOf(candidate, candidate?.res)?.watch
    if (found) return found
  }
  return null
}

/** See `setTenant` in index.d.cts. Never throws. */
function setTenant(request, tenantId) {
  let innermost = null
  try {
    innermost = watchOf(request)
    forEachWatch(innermost, (watch) => watch.setTenant(tenantId))
  } catch {
    innermost?.adapter.recorder.countFailure()
  }
}

/** Ends all watches of a request without recording it, for the admin view. */
function discard(request) {
  forEachWatch(watchOf(request), (watch) => watch.discard())
}

module.exports = {
  Watch,
  watch,
  watchOf,
  forEachWatch,
  stateOf,
  ensureState,
  onResponseHead,
  onResponseFinish,
  onResponseClose,
  setTenant,
  discard
}
