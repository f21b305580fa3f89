'use strict'

// Connections that are upgraded, such as WebSockets: no request handler sees them. Their handshake counts, and not how long they live.

const { Adapter } = require('./adapter.cjs')
const { wrongType } = require('../core/errors.cjs')
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

/** Calls `over` with the status of the first line that goes out on a socket, or that of an abort where none does: once. */
function handshake(socket, over) {
  const restore = [replaced(socket, 'write', seen), replaced(socket, 'end', seen)]
  const end = (status) => {
    for (const each of restore) each()
    socket.removeListener('close', aborted)
    over(status)
  }
  const aborted = () => end(ABORTED)
  function seen(chunk) {
    const status = /^HTTP\/1\.\d (\d{3})/.exec(typeof chunk === 'string' ? chunk : String(chunk?.subarray?.(0, 16) ?? ''))
    if (status !== null) end(Number(status[1]))
  }
  socket.once('close', aborted)
}

function listens(server) {
  try {
    return typeof server.prependListener === 'function'
  } catch {
    return false
  }
}

/**
 * Tells a sentinel of what `server` upgrades. Call it once there is a listener for `upgrade`: without one, Node treats such
 * requests as any other.
 */
function upgrades(server, sentinel, options) {
  const adapter = new Adapter(sentinel, options)
  if (!listens(server)) throw wrongType('server', server, 'a server of node:http')
  server.prependListener('upgrade', (req, socket) => {
    const watching = watch(adapter, req, new Handshake(req, socket), req, Watch)
    if (watching !== null) handshake(socket, (status) => watching.finish(status))
  })
}

module.exports = { upgrades, handshake }
