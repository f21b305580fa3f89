'use strict'

// Connections that are upgraded, such as WebSockets: no request handler sees them. Their handshake counts as a request, and its latency
// ends with the handshake, not with the connection.

const { wrongType } = require('../core/errors.cjs')
const { STATUS_ABORTED } = require('../core/boundary.cjs')
const { Adapter } = require('./adapter.cjs')
const { watch, Watch } = require('./watch.cjs')

/** Stands for the response that a `Watch` needs: the status comes from the first line on the socket instead. */
class HandshakeResponse {
  constructor(req, socket) {
    this.req = req
    this.socket = socket
    this.writableFinished = false
    this.statusCode = 0
  }

  on() {}
  writeHead() {}
}

/** Calls `see` with the first argument of each call of a method; returns a function that undoes that. */
function intercept(object, name, see) {
  const own = Object.getOwnPropertyDescriptor(object, name)
  const method = object[name]
  const intercepted = function (...given) {
    see(given[0])
    return method.apply(this, given)
  }
  object[name] = intercepted
  return () => {
    if (object[name] !== intercepted) return
    delete object[name]
    if (own !== undefined) Object.defineProperty(object, name, own)
  }
}

/** Calls `done` once: with the status of the first line that is written to a socket, or with 499 when the socket closes before. */
function onHandshake(socket, done) {
  const restore = [intercept(socket, 'write', written), intercept(socket, 'end', written)]
  const end = (status) => {
    for (const each of restore) each()
    socket.removeListener('close', aborted)
    done(status)
  }
  const aborted = () => end(STATUS_ABORTED)
  function written(chunk) {
    const status = /^HTTP\/1\.\d (\d{3})/.exec(typeof chunk === 'string' ? chunk : String(chunk?.subarray?.(0, 16) ?? ''))
    if (status !== null) end(Number(status[1]))
  }
  socket.once('close', aborted)
}

function isServer(server) {
  try {
    return typeof server.prependListener === 'function'
  } catch {
    return false
  }
}

/** See `upgrades` in adapter.d.cts. Prepended, so that it sees a handshake before the application's listener writes the answer. */
function upgrades(server, sentinel, options) {
  const adapter = new Adapter(sentinel, options)
  if (!isServer(server)) throw wrongType('server', server, 'a server of node:http')
  server.prependListener('upgrade', (req, socket) => {
    const watching = watch(adapter, req, new HandshakeResponse(req, socket), req, Watch)
    if (watching !== null) onHandshake(socket, (status) => watching.finish(status))
  })
}

module.exports = { upgrades, onHandshake }
