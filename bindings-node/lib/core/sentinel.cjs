'use strict'

const { isMainThread } = require('node:worker_threads')

const { Native } = require('../../native.cjs')
const { Admin } = require('./admin.cjs')
const { endpointOf, statusOf, tenantOf } = require('./boundary.cjs')
const { ofJson } = require('./camel.cjs')
const { checked, checkedLater, outOfRange, wrongType } = require('./errors.cjs')
const { Flight, Inner } = require('./inner.cjs')
const { checks, object, pairs, query, test } = require('./options.cjs')
const { encoded } = require('./text.cjs')

const ABORTED = 499
const HANDLE = 'the handle of a sentinel'

/** What publishes before the process ends; others of the process may still use what a worker thread made. */
const closing = new Set()

function closeAtExit(inner) {
  // Before the batches are handed over, that must happen: it is done here for these.
  if (closing.size === 0) process.on('exit', closeAll)
  closing.add(inner)
}

function closeAll() {
  for (const inner of closing) {
    attempt(inner, () => {
      inner.batch.flush()
      inner.native.closeExporter()
    })
  }
  closing.clear()
}

class Sentinel {
  #inner

  constructor(options, attached) {
    this.#inner = new Inner(attached ?? checked(() => new Native(pairs(options))))
    if (attached === undefined && isMainThread && this.#inner.native.shares()) closeAtExit(this.#inner)
  }

  /** The sentinel that another thread of this process holds, by its `handle`. */
  static attach(handle) {
    if (typeof handle !== 'number') throw wrongType('handle', handle, HANDLE)
    // Not what it would be rounded to: that may be somebody else's.
    if (!(Number.isInteger(handle) && handle >= 0 && handle < 2 ** 32)) throw outOfRange('handle', handle, HANDLE)
    return new Sentinel(undefined, checked(() => Native.attach(handle)))
  }

  static innerOf(sentinel) {
    if (typeof sentinel !== 'object' || sentinel === null || !(#inner in sentinel)) {
      throw wrongType('sentinel', sentinel, 'a Sentinel')
    }
    return sentinel.#inner
  }

  get handle() {
    return this.#inner.native.key
  }

  record(tenantId, endpoint, statusCode, latencyMs, timestampMs) {
    try {
      this.#inner.record(tenantId, endpoint, statusCode, latencyMs, timestampMs)
    } catch {
      this.#inner.failed()
    }
  }

  start(tenantId) {
    return new Guard(this.#inner, tenantId)
  }

  report(options) {
    const { by, limit, window, series, scope } = query(options, ['by', 'limit', 'window', 'series', 'scope'])
    const report = this.#asked((native) => native.report(by, limit, window, series, scope))
    this.#inner.ledger(report.stats)
    return report
  }

  text(options) {
    const { by, limit, window, scope } = query(options, ['by', 'limit', 'window', 'scope'])
    return checked(() => {
      this.#inner.settle()
      return this.#inner.native.text(by, limit, window, scope)
    })
  }

  verdict() {
    return this.#asked((native) => native.verdict())
  }

  latencyVerdict() {
    return this.#asked((native) => native.latencyVerdict())
  }

  tenant(tenantId, options) {
    const id = tenantOf(tenantId)
    if (id === undefined) throw wrongType('tenantId', tenantId, 'a string, bytes, a whole number or nothing')
    const { window, scope } = query(options, ['window', 'scope'])
    return this.#asked((native) => native.tenant(typeof id === 'string' ? encoded(id) : id, window, scope)) ?? undefined
  }

  stats() {
    return this.#inner.ledger(this.#asked((native) => native.stats()))
  }

  memory() {
    return this.#asked((native) => native.memory())
  }

  tick() {
    this.#inner.settle()
    this.#inner.native.tick()
  }

  admin(options) {
    const { public: everybody } = object('options', options, ['public'])
    if (everybody !== undefined && typeof everybody !== 'boolean') throw wrongType('public', everybody, 'true or false')
    return new Admin(this.#inner, checked(() => this.#inner.native.admin(everybody === true)))
  }

  adapterFailed() {
    this.#inner.failed()
  }

  flush() {
    this.#inner.batch.flush()
  }

  startExporter() {
    if (!this.#inner.closed) attempt(this.#inner, () => this.#inner.native.startExporter())
  }

  publish() {
    return checked(() => {
      this.#inner.settle()
      return this.#inner.native.publish()
    })
  }

  sharing() {
    return this.#asked((native) => native.sharing())
  }

  alerts() {
    return this.#asked((native) => native.alerts())
  }

  uptime(options) {
    const series = checks(options)
    return this.#asked((native) => native.uptime(series))
  }

  async testAlert(sink, options) {
    const told = test(sink, options)
    const { native } = this.#inner
    return checkedLater(async () => {
      const tested = (resolve, reject) => {
        native.testAlert(told.sink, told.timeout, (error, json) => (error ? reject(error) : resolve(json)))
      }
      return ofJson(await new Promise(tested))
    })
  }

  close() {
    this.#inner.batch.flush()
    this.#inner.closed = true
    closing.delete(this.#inner)
    attempt(this.#inner, () => this.#inner.native.closeExporter())
  }

  #asked(ask) {
    return checked(() => {
      this.#inner.settle()
      return ofJson(ask(this.#inner.native))
    })
  }
}

/** Requests whose guard was collected: nobody will say how they ended. */
const collected = new FinalizationRegistry(({ inner, flight, state }) => {
  if (!state.done) attempt(inner, () => inner.finish(flight, state.endpoint, ABORTED, performance.now()))
})

/** Runs what must not fail for the host. */
function attempt(inner, run) {
  try {
    run()
  } catch {
    inner.failed()
  }
}

class Guard {
  #inner
  #flight
  #state

  constructor(inner, tenantId) {
    this.#inner = inner
    this.#flight = new Flight()
    this.#state = { done: inner.closed, endpoint: '' }
    if (inner.closed) return
    attempt(inner, () => {
      this.#flight.tenant = this.#known(tenantOf(tenantId))
      inner.takeOff(this.#flight)
      collected.register(this, { inner, flight: this.#flight, state: this.#state })
    })
  }

  tenant(tenantId) {
    if (!this.#state.done) attempt(this.#inner, () => this.#inner.name(this.#flight, this.#known(tenantOf(tenantId))))
  }

  endpoint(endpoint) {
    attempt(this.#inner, () => (this.#state.endpoint = this.#known(endpointOf(endpoint))))
  }

  finish(endpoint, statusCode) {
    if (this.#state.done) return
    this.#state.done = true
    attempt(this.#inner, () => {
      const status = statusOf(statusCode)
      if (status === undefined) this.#inner.failed()
      this.#inner.finish(this.#flight, this.#known(endpointOf(endpoint)), status ?? 0, performance.now())
    })
  }

  discard() {
    if (this.#state.done) return
    this.#state.done = true
    attempt(this.#inner, () => this.#inner.land(this.#flight))
  }

  #known(value) {
    if (value === undefined) this.#inner.failed()
    return value ?? ''
  }
}

const { innerOf } = Sentinel
delete Sentinel.innerOf

module.exports = { Sentinel, Guard, innerOf }
