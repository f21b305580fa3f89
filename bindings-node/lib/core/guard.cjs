'use strict'

const { STATUS_ABORTED, endpointOf, statusOf, tenantOf } = require('./boundary.cjs')
const { Flight } = require('./recorder.cjs')

/** Records a request as aborted when its guard was garbage-collected unfinished: nothing else will report its end. */
const collected = new FinalizationRegistry(({ recorder, flight, state }) => {
  if (!state.done) recorder.attempt(() => recorder.finishFlight(flight, state.endpoint, STATUS_ABORTED, performance.now()))
})

/** A request between `Sentinel.start` and `finish`; see `Guard` in index.d.cts. */
class Guard {
  #recorder
  #flight
  #state

  constructor(recorder, tenantId) {
    this.#recorder = recorder
    this.#flight = new Flight()
    // An object of its own: a reference to the guard would keep the guard from being collected.
    this.#state = { done: recorder.closed, endpoint: '' }
    if (recorder.closed) return
    recorder.attempt(() => {
      this.#flight.tenant = recorder.valueOrEmpty(tenantOf(tenantId))
      recorder.startFlight(this.#flight)
      collected.register(this, { recorder, flight: this.#flight, state: this.#state })
    })
  }

  tenant(tenantId) {
    if (this.#state.done) return
    const recorder = this.#recorder
    recorder.attempt(() => recorder.setFlightTenant(this.#flight, recorder.valueOrEmpty(tenantOf(tenantId))))
  }

  endpoint(endpoint) {
    const recorder = this.#recorder
    recorder.attempt(() => (this.#state.endpoint = recorder.valueOrEmpty(endpointOf(endpoint))))
  }

  finish(endpoint, statusCode) {
    if (this.#state.done) return
    this.#state.done = true
    const recorder = this.#recorder
    recorder.attempt(() => {
      const status = statusOf(statusCode)
      if (status === undefined) recorder.countFailure()
      recorder.finishFlight(this.#flight, recorder.valueOrEmpty(endpointOf(endpoint)), status ?? 0, performance.now())
    })
  }

  discard() {
    if (this.#state.done) return
    this.#state.done = true
    this.#recorder.attempt(() => this.#recorder.endFlight(this.#flight))
  }
}

module.exports = { Guard }
