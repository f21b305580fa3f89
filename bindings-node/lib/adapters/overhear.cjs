'use strict'

// What responses of node:http tell, heard where all of them have it from: their prototype. A listener for each response costs more than all
// the rest where V8 does not know what it is like, as in Express, which changes the prototype of each.

const { ServerResponse } = require('node:http')
const { heardHead, heardFinish, heardClose } = require('./watch.cjs')

/** What is there now: looked up at each call, for what somebody puts in its place later. */
const above = Object.getPrototypeOf(ServerResponse.prototype)
let hearing = null

function hear() {
  const { writeHead } = ServerResponse.prototype
  const own = Object.hasOwn(ServerResponse.prototype, 'emit') ? ServerResponse.prototype.emit : null
  function emitHeard(event) {
    if (event === 'finish') heardFinish(this)
    else if (event === 'close') {
      // It is counted when all who listen have said what they know of it.
      try {
        return (own ?? above.emit).apply(this, arguments)
      } finally {
        heardClose(this)
      }
    }
    return (own ?? above.emit).apply(this, arguments)
  }
  function writeHeadHeard(status) {
    const out = writeHead.apply(this, arguments)
    heardHead(this, status | 0)
    return out
  }
  ServerResponse.prototype.emit = emitHeard
  ServerResponse.prototype.writeHead = writeHeadHeard
  return { emit: emitHeard, writeHead: writeHeadHeard }
}

/** Whether responses of this kind, which is their prototype, are heard: they are of node:http, and nobody has it done in another way. */
function overhears(kind) {
  try {
    hearing ??= hear()
  } catch {
    // Somebody has it frozen.
    return false
  }
  return kind.emit === hearing.emit && kind.writeHead === hearing.writeHead
}

module.exports = { overhears }
