'use strict'

// Connections that are upgraded, such as WebSockets: no request handler sees them. Their handshake counts, and not how long they live.

const { Adapter } = require('./adapter.cjs')
const { ABORTED, watch, Watch } = require('./watch.cjs')

/** Enough of a response for a watch: the socket's first line says the status. */
class Handshake {
  constructor(req, socket) {
    this.req = req
    this.socket = socket
    this.writableFinished = false
    this.statusCode = 0
  }

  on() {}
  writeHead() {}
}

/** Has `see` look at what a method is called with; returns what undoes that. */
function replaced(object, name, see) {
  const own = Object.getOwnPropertyDescriptor(object, name)
  const method = object[name]
  const instead = function (...given) {
    see(given[0])
    return method.apply(this, given)
  }
  object[name] = instead
  return () => {
    if (object[name] !== instead) return
    delete object[name]
    if (own !== undefined) Object.defineProperty(object, name, own)
  }
}

/**
 * Tells a sentinel of what `server` upgrades. Call it once there is a listener for `upgrade`: without one, Node treats such
 * requests as any other.
 */
function upgrades(server, sentinel, options) {
  const adapter = new Adapter(sentinel, options)
  server.prependListener('upgrade', (req, socket) => {
    const handshake = new Handshake(req, socket)
    const watching = watch(adapter, req, handshake, req, Watch)
    if (watching === null) return
    const restore = [replaced(socket, 'write', seen), replaced(socket, 'end', seen)]
    const over = (status) => {
      for (const each of restore) each()
      socket.removeListener('close', aborted)
      watching.finish(status)
    }
    const aborted = () => over(ABORTED)
    function seen(chunk) {
      const status = /^HTTP\/1\.\d (\d{3})/.exec(typeof chunk === 'string' ? chunk : String(chunk?.subarray?.(0, 16) ?? ''))
      if (status !== null) over(Number(status[1]))
    }
    socket.once('close', aborted)
  })
}

module.exports = { upgrades }
