// A client over a bare socket, so that headers and closes are exactly what a test says.
import net from 'node:net'

const PATIENCE_MS = 60_000

/** Connects and sends a request; the socket. */
export function send(port, method, target, headers = {}, connection = 'close') {
  const socket = net.connect(port, '127.0.0.1')
  socket.on('error', () => {})
  const lines = Object.entries({ host: 'localhost', connection, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'))
  return socket
}

/** The status and all that came, when the connection has ended. */
export function read(socket) {
  return new Promise((resolve, reject) => {
    const chunks = []
    const timer = setTimeout(() => reject(new Error('no answer')), PATIENCE_MS)
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('close', () => {
      clearTimeout(timer)
      const text = Buffer.concat(chunks).toString('latin1')
      resolve({ status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0), text })
    })
  })
}

export const ask = (port, method, target, headers) => read(send(port, method, target, headers))

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Waits until a condition holds. */
export async function until(holds, what) {
  const began = Date.now()
  while (!holds()) {
    if (Date.now() - began > PATIENCE_MS) throw new Error(`never: ${what}`)
    await pause(5)
  }
}
