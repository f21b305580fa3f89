'use strict'

// Sees the head and the end of every response of node:http by replacing `emit` and `writeHead` of their prototype, once a process.
//
// A `close` listener for each response would do the same, but Express changes the prototype of each response: V8 knows no shape of
// such an object, and a listener on it costs 2 to 3 µs, more than everything else that the adapter does.

const { ServerResponse } = require('node:http')
const { onResponseHead, onResponseFinish, onResponseClose } = require('./watch.cjs')

/** Holds the inherited `emit`, looked up at each call: another package may replace it later. */
const parent = Object.getPrototypeOf(ServerResponse.prototype)
/** The functions that this module has put in place; null before that. */
let hooks = null

function install() {
  const { writeHead } = ServerResponse.prototype
  const ownEmit = Object.hasOwn(ServerResponse.prototype, 'emit') ? ServerResponse.prototype.emit : null
  function hookedEmit(event) {
    if (event === 'finish') onResponseFinish(this)
    else if (event === 'close') {
      // The request is counted after all listeners, which may still set its tenant.
      try {
        return (ownEmit ?? parent.emit).apply(this, arguments)
      } finally {
        onResponseClose(this)
      }
    }
    return (ownEmit ?? parent.emit).apply(this, arguments)
  }
  function hookedWriteHead(status) {
    const out = writeHead.apply(this, arguments)
    onResponseHead(this, status | 0)
    return out
  }
  ServerResponse.prototype.emit = hookedEmit
  ServerResponse.prototype.writeHead = hookedWriteHead
  return { emit: hookedEmit, writeHead: hookedWriteHead }
}

/**
 * Installs the hooks, and returns whether responses with this prototype reach them: they do unless the prototype has an `emit` or a
 * `writeHead` of its own.
 */
function hookResponses(prototype) {
  try {
    hooks ??= install()
  } catch {
    // The prototype is frozen.
    return false
  }
  return prototype.emit === hooks.emit && prototype.writeHead === hooks.writeHead
}

module.exports = { hookResponses }
