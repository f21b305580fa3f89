'use strict'

// Events wait here, in memory that the native side reads, until there are enough of them, until a tenth of a second is over, or
// until somebody asks: a call into native code for each would cost more than all the rest. src/batch.rs describes the memory.

const { write, writeBytes, encoded } = require('./text.cjs')

const CAPACITY = 512
/** Bytes of ids: enough for a batch of UUIDs, and always for one more id. */
const ID_BYTES = 32 * 1024
/** Longer ids, in UTF-16 units, are handed over one by one. */
const LONGEST = 512
const PERIOD_MS = 100
/** Templates that get a number, and how long those may be; others are handed over with their events. */
const MOST_ENDPOINTS = 4_095
const LONGEST_ENDPOINT = 256

const LATENCY_UNKNOWN = 0x8000
const HAS_TIME = 0x4000

/** Batches that are not empty, of all sentinels of this thread. */
const waiting = new Set()
let listens = false

function flushAll() {
  for (const batch of waiting) batch.flush()
}

class Batch {
  constructor(native, onTick) {
    this.native = native
    this.onTick = onTick
    const memory = new ArrayBuffer(CAPACITY * 24 + ID_BYTES)
    this.doubles = new Float64Array(memory, 0, CAPACITY * 3)
    this.words = new Uint32Array(memory, 0, CAPACITY * 6)
    this.memory = new Uint8Array(memory)
    this.ids = new Uint8Array(memory, CAPACITY * 24)
    this.count = 0
    this.used = 0
    this.began = 0
    this.lost = 0
    this.timer = null
    this.endpoints = new Map([['', 0]])
    this.lastEndpoint = ''
    this.lastNumber = 0
  }

  /**
   * Adds an event of the boundary's types: the id a string, as text or (`raw`) as a header's bytes, or bytes; latency NaN is
   * invalid, undefined unknown; the time undefined is now.
   */
  add(tenant, raw, endpoint, status, latency, at) {
    const number = endpoint === this.lastEndpoint ? this.lastNumber : this.numberOf(endpoint)
    if (number < 0 || tenant.length > LONGEST) {
      this.single(tenant, raw, endpoint, status, latency, at)
      return
    }
    if (this.count === CAPACITY || this.used > ID_BYTES - LONGEST * 3) this.flush()
    const index = this.count
    if (index === 0) this.begin()
    this.used = raw ? writeBytes(this.ids, this.used, tenant) : typeof tenant === 'string' ? write(this.ids, this.used, tenant) : this.copy(tenant)
    let flags = number
    if (latency === undefined) flags |= LATENCY_UNKNOWN
    else this.doubles[index * 3] = latency
    if (at !== undefined) {
      flags |= HAS_TIME
      this.doubles[index * 3 + 1] = at
    }
    this.words[index * 6 + 4] = this.used
    this.words[index * 6 + 5] = (status << 16) | flags
    this.count = index + 1
  }

  copy(bytes) {
    this.ids.set(bytes, this.used)
    return this.used + bytes.length
  }

  /** The number of a template, less than 0 where it has none. */
  numberOf(endpoint) {
    let number = this.endpoints.get(endpoint)
    if (number === undefined) {
      if (endpoint.length > LONGEST_ENDPOINT || this.endpoints.size > MOST_ENDPOINTS) return -1
      number = this.native.endpoint(endpoint) ?? -1
      if (number < 0) return -1
      this.endpoints.set(endpoint, number)
    }
    this.lastEndpoint = endpoint
    this.lastNumber = number
    return number
  }

  single(tenant, raw, endpoint, status, latency, at) {
    // What came before it goes first, so that time stays in order.
    this.flush()
    const id = typeof tenant !== 'string' ? tenant : raw ? Buffer.from(tenant, 'latin1') : encoded(tenant)
    if (!this.native.record(id, endpoint, status, latency, at)) this.lost++
  }

  begin() {
    this.began = Date.now()
    waiting.add(this)
    if (!listens) {
      listens = true
      // Runs at a natural end, at `process.exit` and after an uncaught error; a signal that nobody handles runs no JavaScript.
      process.on('exit', flushAll)
    }
    this.wake()
  }

  /** Has the timer run: one that never keeps a process alive. */
  wake() {
    if (this.timer === null) {
      this.timer = setTimeout(() => {
        this.timer = null
        this.flush()
        if (this.onTick()) this.wake()
      }, PERIOD_MS)
      this.timer.unref()
    }
  }

  flush() {
    const count = this.count
    if (count === 0) return
    this.count = this.used = 0
    waiting.delete(this)
    // The event loop was held up: they ended when they came, and not now.
    const now = Date.now()
    const began = now - this.began > 1_000 ? this.began : undefined
    try {
      this.lost += this.native.flush(this.memory, CAPACITY, count, began)
    } catch {
      this.lost += count
    }
  }
}

module.exports = { Batch, PERIOD_MS }
