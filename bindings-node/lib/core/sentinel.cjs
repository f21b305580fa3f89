'use strict'

const { isMainThread } = require('node:worker_threads')

const { Native } = require('../../native.cjs')
const { Admin } = require('./admin.cjs')
const { tenantOf } = require('./boundary.cjs')
const { fromCoreJson } = require('./camel-case.cjs')
const { checked, checkedAsync, outOfRange, wrongType } = require('./errors.cjs')
const { Guard } = require('./guard.cjs')
const { constructorOptions, readOptions, reportOptions, testAlertOptions, uptimeSeries } = require('./options.cjs')
const { Recorder } = require('./recorder.cjs')
const { idBytes } = require('./utf8.cjs')

const HANDLE = 'the handle of a sentinel'

/**
 * Recorders whose exporter publishes before the process ends. Only those that the main thread made: other threads may still use one
 * that a worker thread made.
 */
const closedAtExit = new Set()

function closeAtExit(recorder) {
  if (closedAtExit.size === 0) process.on('exit', closeAll)
  closedAtExit.add(recorder)
}

function closeAll() {
  for (const recorder of closedAtExit) {
    recorder.attempt(() => {
      // The exit handler of batch.cjs runs after this one, too late for the exporter.
      recorder.batch.flush()
      recorder.native.closeExporter()
    })
  }
  closedAtExit.clear()
}

/** See `Sentinel` in index.d.cts. */
class Sentinel {
  #recorder

  constructor(options, attached) {
    this.#recorder = new Recorder(attached ?? checked(() => new Native(constructorOptions(options))))
    if (attached === undefined && isMainThread && this.#recorder.native.shares()) closeAtExit(this.#recorder)
  }

  static attach(handle) {
    if (typeof handle !== 'number') throw wrongType('handle', handle, HANDLE)
    // The native side would round any other number, and find another sentinel.
    if (!(Number.isInteger(handle) && handle >= 0 && handle < 2 ** 32)) throw outOfRange('handle', handle, HANDLE)
    return new Sentinel(undefined, checked(() => Native.attach(handle)))
  }

  /** The recorder of a sentinel, for the adapters; not part of the public class. */
  static recorderOf(sentinel) {
    if (typeof sentinel !== 'object' || sentinel === null || !(#recorder in sentinel)) {
      throw wrongType('sentinel', sentinel, 'a Sentinel')
    }
    return sentinel.#recorder
  }

  get handle() {
    return this.#recorder.native.key
  }

  record(tenantId, endpoint, statusCode, latencyMs, timestampMs) {
    try {
      this.#recorder.record(tenantId, endpoint, statusCode, latencyMs, timestampMs)
    } catch {
      this.#recorder.countFailure()
    }
  }

  start(tenantId) {
    return new Guard(this.#recorder, tenantId)
  }

  report(options) {
    const { by, limit, window, series, scope } = reportOptions(options, ['by', 'limit', 'window', 'series', 'scope'])
    const report = this.#query((native) => native.report(by, limit, window, series, scope))
    this.#recorder.withLostEvents(report.stats)
    return report
  }

  text(options) {
    const { by, limit, window, scope } = reportOptions(options, ['by', 'limit', 'window', 'scope'])
    return checked(() => {
      this.#recorder.handOverAll()
      return this.#recorder.native.text(by, limit, window, scope)
    })
  }

  verdict() {
    return this.#query((native) => native.verdict())
  }

  latencyVerdict() {
    return this.#query((native) => native.latencyVerdict())
  }

  tenant(tenantId, options) {
    const id = tenantOf(tenantId)
    if (id === undefined) throw wrongType('tenantId', tenantId, 'a string, bytes, a whole number or nothing')
    const { window, scope } = reportOptions(options, ['window', 'scope'])
    return this.#query((native) => native.tenant(idBytes(id, false), window, scope)) ?? undefined
  }

  stats() {
    return this.#recorder.withLostEvents(this.#query((native) => native.stats()))
  }

  memory() {
    return this.#query((native) => native.memory())
  }

  tick() {
    this.#recorder.handOverAll()
    this.#recorder.native.tick()
  }

  admin(options) {
    const { public: isPublic } = readOptions('options', options, ['public'])
    if (isPublic !== undefined && typeof isPublic !== 'boolean') throw wrongType('public', isPublic, 'true or false')
    return new Admin(this.#recorder, checked(() => this.#recorder.native.admin(isPublic === true)))
  }

  adapterFailed() {
    this.#recorder.countFailure()
  }

  flush() {
    this.#recorder.batch.flush()
  }

  startExporter() {
    if (!this.#recorder.closed) this.#recorder.attempt(() => this.#recorder.native.startExporter())
  }

  publish() {
    return checked(() => {
      this.#recorder.handOverAll()
      return this.#recorder.native.publish()
    })
  }

  sharing() {
    return this.#query((native) => native.sharing())
  }

  alerts() {
    return this.#query((native) => native.alerts())
  }

  uptime(options) {
    const series = uptimeSeries(options)
    return this.#query((native) => native.uptime(series))
  }

  async testAlert(sink, options) {
    const { sink: name, timeout } = testAlertOptions(sink, options)
    const { native } = this.#recorder
    return checkedAsync(async () => {
      const runTest = (resolve, reject) => {
        native.testAlert(name, timeout, (error, json) => (error ? reject(error) : resolve(json)))
      }
      return fromCoreJson(await new Promise(runTest))
    })
  }

  close() {
    this.#recorder.batch.flush()
    this.#recorder.closed = true
    closedAtExit.delete(this.#recorder)
    this.#recorder.attempt(() => this.#recorder.native.closeExporter())
  }

  /** Asks the native side once everything was handed over, and parses the answer. */
  #query(ask) {
    return checked(() => {
      this.#recorder.handOverAll()
      return fromCoreJson(ask(this.#recorder.native))
    })
  }
}

const { recorderOf } = Sentinel
delete Sentinel.recorderOf

module.exports = { Sentinel, recorderOf }
