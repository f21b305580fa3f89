// A receiver of alerts: a web server on loopback that keeps the messages it gets.
import { once } from 'node:events'
import http from 'node:http'

/** `answers = false`: it does not answer until the test is over. */
export async function receiver(t) {
  const it = { messages: [], answers: true }
  const server = http.createServer(async (req, res) => {
    let text = ''
    for await (const part of req) text += part
    it.messages.push(JSON.parse(text))
    if (it.answers) res.writeHead(204).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  it.port = server.address().port
  it.url = `http://127.0.0.1:${it.port}/hook?key=canary-7f3a`
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return it
}

/** A port without a listener. */
export async function deadPort() {
  const server = http.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}
