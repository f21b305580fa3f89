// A service of four workers under cluster that answer for each other. On standard input: `load N` sends N requests over sockets, `ask`
// asks each worker for its report, `kill` and `stop` end one worker and start another. Each command answers with a line of JSON.
import cluster from 'node:cluster'
import { once } from 'node:events'
import http from 'node:http'
import { createInterface } from 'node:readline'
import express from 'express'
import { Sentinel } from 'tenant-sentinel'
import { admin, sentinel } from 'tenant-sentinel/express'

const WORKERS = 4
const [, , dir] = process.argv

if (cluster.isPrimary) {
  const began = async () => {
    const worker = cluster.fork()
    const [{ port }] = await once(worker, 'listening')
    return { worker, port }
  }
  let workers = await Promise.all(Array.from({ length: WORKERS }, began))

  // Each worker's own port, so that every one is asked and loaded; the shared one is where cluster puts it.
  const own = async ({ worker }) => {
    worker.send('port?')
    const [port] = await once(worker, 'message')
    return port
  }
  const get = (port, path, tenant) =>
    new Promise((resolve, reject) => {
      const headers = tenant === undefined ? {} : { 'x-tenant-id': tenant }
      const request = http.get({ port, path, host: '127.0.0.1', agent: false, headers }, async (res) => {
        let text = ''
        for await (const part of res) text += part
        resolve(text)
      })
      request.on('error', reject)
    })

  const commands = {
    async load(count) {
      for (let i = 0; i < count; i += 20) {
        const batch = Array.from({ length: Math.min(20, count - i) }, (_, k) => get(workers[0].port, '/work', `t${(i + k) % 7}`))
        await Promise.all(batch)
      }
      return count
    },
    async ask() {
      const answers = []
      for (const each of workers) answers.push(JSON.parse(await get(await own(each), '/sentinel/report?limit=20')))
      return answers.map(({ scope, scope_note, sources, totals, tenants }) => ({
        scope,
        note: scope_note,
        sources,
        requests: totals.requests,
        errors: totals.errors,
        t0: tenants.find((row) => row.tenant_id === 't0')?.requests
      }))
    },
    async kill() {
      return commands.replace('SIGKILL')
    },
    async stop() {
      return commands.replace('SIGTERM')
    },
    async replace(signal) {
      const [{ worker }, ...others] = workers
      const gone = once(worker, 'exit')
      worker.process.kill(signal)
      await gone
      workers = [...others, await began()]
      return worker.process.pid
    }
  }
  console.log(JSON.stringify(workers.length))
  for await (const line of createInterface({ input: process.stdin })) {
    const [name, argument] = line.split(' ')
    console.log(JSON.stringify(await commands[name](Number(argument))))
  }
  for (const { worker } of workers) worker.process.kill('SIGKILL')
  process.exit(0)
} else {
  const s = new Sentinel({ service: 'shop', dir })
  const app = express()
  app.use(sentinel(s, { tenant: 'x-tenant-id' }))
  app.get('/work', (req, res) => res.status(req.get('x-tenant-id') === 't0' ? 500 : 200).end('done'))
  app.use('/sentinel', admin(s, { public: true }))
  const shared = app.listen(0, '127.0.0.1')
  // A server that cluster does not share: only this worker answers there.
  const alone = http.createServer(app).listen({ port: 0, host: '127.0.0.1', exclusive: true })
  process.on('message', () => process.send(alone.address().port))
  // What well-kept services do; without it a signal ends the process before any JavaScript runs.
  process.on('SIGTERM', () => shared.close(() => process.exit(0)) && setTimeout(() => process.exit(0), 200))
}
