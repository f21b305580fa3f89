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
    const { write } = socket
    const over = (status) => {
      delete socket.write
      socket.removeListener('close', aborted)
      watching.finish(status)
    }
    const aborted = () => over(ABORTED)
    socket.write = function (chunk, ...rest) {
      const status = /^HTTP\/1\.\d (\d{3})/.exec(typeof chunk === 'string' ? chunk : String(chunk?.subarray?.(0, 16) ?? ''))
      if (status !== null) over(Number(status[1]))
      return write.call(this, chunk, ...rest)
    }
    const { end } = socket
    socket.end = function (...given) {
      delete socket.end
      if (!watching.done && given.length > 0 && typeof given[0] !== 'function') socket.write(...given.splice(0, 1))
      return end.apply(this, given)
    }
    socket.once('close', aborted)
  })
}

module.exports = { upgrades }
