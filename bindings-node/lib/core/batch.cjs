'use strict'

// Collects events in memory that the native side reads in one call.
//
// A call into native code costs more than all the rest of `record`, so an event is written here instead, and the batch is handed over
// when it is full, after 100 ms, or before this thread asks for a report. src/batch.rs draws the memory and reads it:
//
//   memory   512 records of 24 bytes | the ids as bytes, one behind the other
//   ids      'acme' + 'beta' + …       a JavaScript string until the batch is handed over
//
// `add` appends an id to the string `ids`, which costs one pointer whatever the id's length, and writes the string's new length into
// the record. `flush` encodes the whole string by one call of Node's encoder, which is slow to call and fast at work. Ids are ASCII
// nearly always: then they have as many bytes as UTF-16 units, and the ends in the records are right already. Otherwise `encodeEach`
// encodes the ids one by one and writes their ends again.
//
// Invariants: `count` records are complete and their ends rise; a batch that is not empty is in `waiting` and its timer runs; every
// event that was added is recorded, or counted in `lost`.
//
// Endpoints repeat, so the native side numbers each template once, and a record holds that number. An event with a template without a
// number, or with a long id, is handed over alone, after the events before it.

const { writeUtf8, writeLatin1, idBytes, flatCopy } = require('./utf8.cjs')

/** Events in a batch, at most. */
const CAPACITY = 512
/** Bytes of a record, as in src/batch.rs. */
const RECORD_BYTES = 24
/** UTF-16 units of all ids of a batch: enough for 512 UUIDs, and always for one more id. */
const MAX_IDS_UNITS = 20 * 1024
/** Bytes that UTF-8 has for a UTF-16 unit, at most. */
const MAX_BYTES_PER_UNIT = 3
/** UTF-16 units of one id; an event with a longer id is handed over alone. */
const MAX_ID_UNITS = 512
/** An event waits no longer than this. */
const PERIOD_MS = 100
/** Templates that get a number, and the UTF-16 units of one; events with any other template are handed over alone. */
const MAX_ENDPOINTS = 4_095
const MAX_ENDPOINT_UNITS = 256

// The low half of a record's last word: flags above the number of the endpoint.
const LATENCY_UNKNOWN = 0x8000
const HAS_TIME = 0x4000
/** The id's characters are bytes. The native side ignores this flag. */
const IS_LATIN1 = 0x2000

/** The batches of this thread's sentinels that are not empty. */
const waiting = new Set()
let flushesAtExit = false

function flushAll() {
  for (const batch of waiting) batch.flush()
}

class Batch {
  /** `onTick` runs with the timer and says whether the timer is to run again. */
  constructor(native, onTick) {
    this.native = native
    this.onTick = onTick
    const memory = new ArrayBuffer(CAPACITY * RECORD_BYTES + MAX_IDS_UNITS * MAX_BYTES_PER_UNIT)
    this.doubles = new Float64Array(memory, 0, CAPACITY * 3)
    this.words = new Uint32Array(memory, 0, CAPACITY * 6)
    this.memory = new Uint8Array(memory)
    this.idBytes = Buffer.from(memory, CAPACITY * RECORD_BYTES)
    /** The ids of all events, one behind the other. */
    this.ids = ''
    this.count = 0
    /** When the first event was added, in Unix milliseconds. */
    this.firstAddedMs = 0
    /** Events that were lost to defects on the way to the core. */
    this.lost = 0
    this.timer = null
    this.endpointNumbers = new Map([['', 0]])
    /** Templates by their numbers. */
    this.endpoints = ['']
    this.lastEndpoint = ''
    this.lastNumber = 0
  }

  /**
   * Adds an event. `tenant` is bytes or a string, and `isLatin1` says that the string is a header's value, one character a byte.
   * `latency` is milliseconds: NaN is invalid, undefined unknown. `at` is Unix milliseconds: undefined is now.
   */
  add(tenant, isLatin1, endpoint, status, latency, at) {
    const number = endpoint === this.lastEndpoint ? this.lastNumber : this.numberOf(endpoint)
    if (number < 0 || tenant.length > MAX_ID_UNITS) {
      this.recordAlone(tenant, isLatin1, endpoint, status, latency, at)
      return
    }
    if (this.count === CAPACITY || this.ids.length > MAX_IDS_UNITS - MAX_ID_UNITS) this.flush()
    const index = this.count
    if (index === 0) this.begin()
    let flags = number
    if (typeof tenant !== 'string') {
      tenant = Buffer.from(tenant).latin1Slice()
      isLatin1 = true
    }
    if (isLatin1) flags |= IS_LATIN1
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

  /** The number of a template; -1 for a template that gets none. */
  numberOf(endpoint) {
    let number = this.endpointNumbers.get(endpoint)
    if (number === undefined) {
      if (endpoint.length > MAX_ENDPOINT_UNITS || this.endpointNumbers.size > MAX_ENDPOINTS) return -1
      number = this.native.endpoint(endpoint) ?? -1
      if (number < 0) return -1
      // The map keeps a copy, since a substring would keep its whole text alive. V8 interns names of properties, as it does literals,
      // so comparing this copy with a literal in `add` compares two pointers.
      this.endpoints[number] = Object.keys({ [flatCopy(endpoint)]: 0 })[0]
      this.endpointNumbers.set(this.endpoints[number], number)
    }
    this.lastEndpoint = this.endpoints[number]
    this.lastNumber = number
    return number
  }

  recordAlone(tenant, isLatin1, endpoint, status, latency, at) {
    // The events before this one go first, so that time stays in order.
    this.flush()
    if (!this.native.record(idBytes(tenant, isLatin1), endpoint, status, latency, at)) this.lost++
  }

  begin() {
    this.firstAddedMs = Date.now()
    waiting.add(this)
    if (!flushesAtExit) {
      flushesAtExit = true
      // Node runs this at a natural end, at `process.exit` and after an uncaught error; a signal without a handler runs no JavaScript.
      process.on('exit', flushAll)
    }
    this.startTimer()
  }

  /** Starts the timer unless it runs. The timer never keeps a process alive. */
  startTimer() {
    if (this.timer === null) {
      this.timer = setTimeout(() => {
        this.timer = null
        this.flush()
        if (this.onTick()) this.startTimer()
      }, PERIOD_MS)
      this.timer.unref()
    }
  }

  /** Hands all events over to the native side. */
  flush() {
    const count = this.count
    if (count === 0) return
    const ids = this.ids
    this.count = 0
    this.ids = ''
    waiting.delete(this)
    // After more than a second the event loop was blocked: these events ended when the first one was added, not now.
    const now = Date.now()
    const endedMs = now - this.firstAddedMs > 1_000 ? this.firstAddedMs : undefined
    try {
      // With as many bytes as units, all ids are ASCII, and each ends at the same place in both.
      if (this.idBytes.write(ids) !== ids.length) this.encodeEach(ids, count)
      this.lost += this.native.flush(this.memory, CAPACITY, count, endedMs)
    } catch {
      this.lost += count
    }
  }

  /** Encodes the ids one by one and writes their ends, in bytes, into the records. */
  encodeEach(ids, count) {
    let from = 0
    let at = 0
    for (let end = 4; end < count * 6; end += 6) {
      const id = ids.slice(from, this.words[end])
      from = this.words[end]
      at = this.words[end + 1] & IS_LATIN1 ? writeLatin1(this.idBytes, at, id) : writeUtf8(this.idBytes, at, id)
      this.words[end] = at
    }
  }
}

module.exports = { Batch, PERIOD_MS }
