'use strict'

// Events wait here, in memory that the native side reads, until there are enough of them, until a tenth of a second is over, or
// until somebody asks: a call into native code for each would cost more than all the rest. src/batch.rs describes the memory.
//
// Their ids wait as one string, to which each is appended: that is a pointer, whatever an id's length. They become bytes all at
// once, by Node's own encoder, which is slow to call and fast at work.

const { write, writeBytes, encoded, flat } = require('./text.cjs')

const CAPACITY = 512
/** UTF-16 units of ids: enough for a batch of UUIDs, and always for one more id. */
const ID_UNITS = 20 * 1024
/** UTF-8 has at most so many bytes for a unit. */
const UNIT_BYTES = 3
/** Longer ids, in UTF-16 units, are handed over one by one. */
const LONGEST = 512
const PERIOD_MS = 100
/** Templates that get a number, and how long those may be; others are handed over with their events. */
const MOST_ENDPOINTS = 4_095
const LONGEST_ENDPOINT = 256

const LATENCY_UNKNOWN = 0x8000
const HAS_TIME = 0x4000
/** The id's characters are bytes. Means nothing to the native side. */
const RAW = 0x2000

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
    const memory = new ArrayBuffer(CAPACITY * 24 + ID_UNITS * UNIT_BYTES)
    this.doubles = new Float64Array(memory, 0, CAPACITY * 3)
    this.words = new Uint32Array(memory, 0, CAPACITY * 6)
    this.memory = new Uint8Array(memory)
    this.bytes = Buffer.from(memory, CAPACITY * 24)
    /** The ids, one after the other. */
    this.ids = ''
    this.count = 0
    this.began = 0
    this.lost = 0
    this.timer = null
    this.endpoints = new Map([['', 0]])
    /** Those by their numbers. */
    this.names = ['']
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
    if (this.count === CAPACITY || this.ids.length > ID_UNITS - LONGEST) this.flush()
    const index = this.count
    if (index === 0) this.begin()
    let flags = number
    if (typeof tenant !== 'string') {
      tenant = Buffer.from(tenant).latin1Slice()
      raw = true
    }
    if (raw) flags |= RAW
    this.ids += tenant
    if (latency === undefined) flags |= LATENCY_UNKNOWN
    else this.doubles[index * 3] = latency
    if (at !== undefined) {
      flags |= HAS_TIME
      this.doubles[index * 3 + 1] = at
    }
    this.words[index * 6 + 4] = this.ids.length
    this.words[index * 6 + 5] = (status << 16) | flags
    this.count = index + 1
  }

  /** The number of a template, less than 0 where it has none. */
  numberOf(endpoint) {
    let number = this.endpoints.get(endpoint)
    if (number === undefined) {
      if (endpoint.length > LONGEST_ENDPOINT || this.endpoints.size > MOST_ENDPOINTS) return -1
      number = this.native.endpoint(endpoint) ?? -1
      if (number < 0) return -1
      // What is kept is a copy: a part of a larger text would keep that alive. As names of properties are, literals are the same string.
      this.names[number] = Object.keys({ [flat(endpoint)]: 0 })[0]
      this.endpoints.set(this.names[number], number)
    }
    this.lastEndpoint = this.names[number]
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
    const ids = this.ids
    this.count = 0
    this.ids = ''
    waiting.delete(this)
    // The event loop was held up: they ended when they came, and not now.
    const now = Date.now()
    const began = now - this.began > 1_000 ? this.began : undefined
    try {
      // As many bytes as units: all of them are ASCII, and end where they ended as text.
      if (this.bytes.write(ids) !== ids.length) this.encodeEach(ids, count)
      this.lost += this.native.flush(this.memory, CAPACITY, count, began)
    } catch {
      this.lost += count
    }
  }

  /** Writes the ids one by one, each as what it is, and where it ends among the bytes. */
  encodeEach(ids, count) {
    let from = 0
    let at = 0
    for (let end = 4; end < count * 6; end += 6) {
      const id = ids.slice(from, this.words[end])
      from = this.words[end]
      at = this.words[end + 1] & RAW ? writeBytes(this.bytes, at, id) : write(this.bytes, at, id)
      this.words[end] = at
    }
  }
}

module.exports = { Batch, PERIOD_MS }
