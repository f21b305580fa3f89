'use strict'

// What a Sentinel is made of, for the adapters too.

const { Batch, PERIOD_MS } = require('./batch.cjs')
const { endpointOf, statusOf, tenantOf } = require('./boundary.cjs')
const { encoded } = require('./text.cjs')

/** A request in flight: a place in its sentinel's list. Only those that live for long are told to the native side. */
class Flight {
  constructor() {
    this.tenant = ''
    /** The tenant is a header's value: bytes, one a character. */
    this.raw = false
    this.began = performance.now()
    this.number = -1
    this.previous = this.next = null
  }

  /** Whether nobody will say how it ended. */
  isGone() {
    return false
  }
}

class Inner {
  constructor(native) {
    this.native = native
    this.closed = false
    /** Events that a defect has cost before they were counted anywhere. */
    this.batch = new Batch(native, () => this.sweep())
    this.flights = new Flight()
    this.flights.previous = this.flights.next = this.flights
  }

  /** Something of the package's own failed; the request goes on. */
  failed() {
    try {
      this.native.adapterFailed()
    } catch {
      // There is nobody to tell.
    }
  }

  record(tenantId, endpoint, statusCode, latencyMs, timestampMs) {
    if (this.closed) return
    const tenant = typeof tenantId === 'string' ? tenantId : tenantOf(tenantId)
    const template = typeof endpoint === 'string' ? endpoint : endpointOf(endpoint)
    const status = statusOf(statusCode)
    let wrong = tenant === undefined || template === undefined || status === undefined
    let latency = latencyMs
    if (typeof latency !== 'number') {
      if (latency === null || latency === undefined) latency = undefined
      else {
        wrong ||= typeof latency !== 'bigint'
        latency = typeof latency === 'bigint' ? Number(latency) : NaN
      }
    }
    let at = timestampMs
    if (at !== undefined && (typeof at !== 'number' || at !== at)) {
      wrong ||= at !== null && typeof at !== 'bigint'
      at = typeof at === 'bigint' ? Number(at) : undefined
    }
    if (wrong) this.failed()
    this.batch.add(tenant ?? '', false, template ?? '', status ?? 0, latency, at)
  }

  takeOff(flight) {
    const end = this.flights
    if (end.next === end) this.batch.wake()
    flight.previous = end.previous
    flight.next = end
    end.previous = end.previous.next = flight
  }

  land(flight) {
    if (flight.next === null) return
    flight.previous.next = flight.next
    flight.next.previous = flight.previous
    flight.previous = flight.next = null
    if (flight.number >= 0) {
      this.native.land(flight.number)
      flight.number = -1
    }
  }

  name(flight, tenant) {
    flight.tenant = tenant
    flight.raw = false
    if (flight.number >= 0) this.native.rename(flight.number, bytesOf(flight))
  }

  /** Counts what has ended. */
  finish(flight, template, status, ended) {
    this.land(flight)
    if (!this.closed) this.batch.add(flight.tenant, flight.raw, template, status, ended - flight.began, undefined)
  }

  /** Tells of the requests that are in flight for longer than `age`; whether there are any. */
  show(age) {
    const until = performance.now() - age
    for (let flight = this.flights.next; flight !== this.flights && flight.began <= until; flight = flight.next) {
      if (flight.number < 0) flight.number = this.native.takeOff(bytesOf(flight))
    }
    return this.flights.next !== this.flights
  }

  sweep() {
    try {
      for (let flight = this.flights.next; flight !== this.flights; ) {
        const next = flight.next
        if (flight.isGone()) flight.abandon()
        flight = next
      }
      return this.show(PERIOD_MS)
    } catch {
      this.failed()
      return false
    }
  }

  /** Before a query: everything until now is in it. */
  settle() {
    this.batch.flush()
    this.show(0)
  }

  /** The ledger, with what was lost on this side: offered = accepted + Σ dropped at all times. */
  ledger(stats) {
    stats.offered += this.batch.lost
    stats.dropped.internal = this.batch.lost
    return stats
  }
}

function bytesOf({ tenant, raw }) {
  if (typeof tenant !== 'string') return tenant
  return raw ? Buffer.from(tenant, 'latin1') : encoded(tenant)
}

module.exports = { Flight, Inner, bytesOf }
