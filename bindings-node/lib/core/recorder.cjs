'use strict'

// The part of a Sentinel that the adapters use too: the batch of events, and the requests in flight.

const { Batch, PERIOD_MS } = require('./batch.cjs')
const { endpointOf, statusOf, tenantOf } = require('./boundary.cjs')
const { idBytes } = require('./utf8.cjs')

/**
 * A request in flight: an entry of its recorder's list, oldest first. Only a request that is in flight for longer than 100 ms, or
 * while somebody asks for a report, is told to the native side and gets a number there.
 */
class Flight {
  constructor() {
    this.tenant = ''
    /** The tenant is a header's value, one character a byte. */
    this.isLatin1 = false
    /** When the request began, by `performance.now()`. */
    this.began = performance.now()
    /** The number on the native side; -1 while that knows nothing of the request. */
    this.number = -1
    this.previous = this.next = null
  }

  /** Whether the request is over although nothing reported its end. */
  isGone() {
    return false
  }
}

class Recorder {
  constructor(native) {
    this.native = native
    this.closed = false
    this.batch = new Batch(native, () => this.sweep())
    /** The head of a circular list. */
    this.flights = new Flight()
    this.flights.previous = this.flights.next = this.flights
  }

  /** Counts a failure of this package in `stats().adapterFailures`; the request goes on. */
  countFailure() {
    try {
      this.native.adapterFailed()
    } catch {
      // Nothing is left that could count it.
    }
  }

  /** Runs `work`; an error in it is counted and never reaches the application. */
  attempt(work) {
    try {
      work()
    } catch {
      this.countFailure()
    }
  }

  /** A value of boundary.cjs; a value of a wrong type is counted, and is the empty text. */
  valueOrEmpty(value) {
    if (value === undefined) this.countFailure()
    return value ?? ''
  }

  /** Records a request from values of any type; several wrong ones count as one failure. */
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
    if (wrong) this.countFailure()
    this.batch.add(tenant ?? '', false, template ?? '', status ?? 0, latency, at)
  }

  /** Adds a request to those in flight. */
  startFlight(flight) {
    const head = this.flights
    if (head.next === head) this.batch.startTimer()
    flight.previous = head.previous
    flight.next = head
    head.previous = head.previous.next = flight
  }

  /** Removes a request from those in flight, without recording it. */
  endFlight(flight) {
    if (flight.next === null) return
    flight.previous.next = flight.next
    flight.next.previous = flight.previous
    flight.previous = flight.next = null
    if (flight.number >= 0) {
      this.native.endFlight(flight.number)
      flight.number = -1
    }
  }

  setFlightTenant(flight, tenant) {
    flight.tenant = tenant
    flight.isLatin1 = false
    if (flight.number >= 0) this.native.setFlightTenant(flight.number, idBytes(tenant, false))
  }

  /** Removes a request from those in flight and records it; `ended` is a time of `performance.now()`. */
  finishFlight(flight, template, status, ended) {
    this.endFlight(flight)
    if (!this.closed) this.batch.add(flight.tenant, flight.isLatin1, template, status, ended - flight.began, undefined)
  }

  /** Tells the native side of requests that are in flight for at least `ageMs`; returns whether any request is in flight. */
  showFlights(ageMs) {
    const until = performance.now() - ageMs
    for (let flight = this.flights.next; flight !== this.flights && flight.began <= until; flight = flight.next) {
      if (flight.number < 0) flight.number = this.native.startFlight(idBytes(flight.tenant, flight.isLatin1))
    }
    return this.flights.next !== this.flights
  }

  /** Runs every 100 ms while requests are in flight; returns whether any still is. */
  sweep() {
    try {
      for (let flight = this.flights.next; flight !== this.flights; ) {
        const next = flight.next
        if (flight.isGone()) flight.abandon()
        flight = next
      }
      return this.showFlights(PERIOD_MS)
    } catch {
      this.countFailure()
      return false
    }
  }

  /** Hands everything over before a query, which then covers all that this thread has recorded and has in flight. */
  handOverAll() {
    this.batch.flush()
    this.showFlights(0)
  }

  /** Adds the events that were lost on this side to `stats`, so that offered = accepted + the sum of dropped at all times. */
  withLostEvents(stats) {
    stats.offered += this.batch.lost
    stats.dropped.internal = this.batch.lost
    return stats
  }
}

module.exports = { Flight, Recorder }
