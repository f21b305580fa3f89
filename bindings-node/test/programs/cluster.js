// A service under cluster: 400 requests, and what each worker says that it has counted.
import cluster from 'node:cluster'
import { once } from 'node:events'
import http from 'node:http'
import { Sentinel } from 'tenant-sentinel'
import { sentinel } from 'tenant-sentinel/http'

if (cluster.isPrimary) {
  const workers = Array.from({ length: Number(process.argv[2]) }, () => cluster.fork())
  const [[, { port }]] = await Promise.all(workers.map((worker) => once(worker, 'listening').then((given) => [worker, given[0]])))
  const ask = () =>
    new Promise((resolve, reject) => {
      http.get({ port, host: '127.0.0.1', agent: false, headers: { 'x-tenant-id': 'acme' } }, (res) => res.resume().on('end', resolve)).on('error', reject)
    })
  for (let i = 0; i < 400; i += 20) await Promise.all(Array.from({ length: 20 }, ask))
  const counts = await Promise.all(
    workers.map(async (worker) => {
      worker.send('how many?')
      const [count] = await once(worker, 'message')
      return count
    })
  )
  console.log(JSON.stringify(counts))
  for (const worker of workers) worker.disconnect()
} else {
  const s = new Sentinel()
  const server = http.createServer(sentinel(s, { tenant: 'x-tenant-id' })((_req, res) => res.end('ok')))
  process.on('message', () => process.send(s.stats().accepted))
  server.listen(0, '127.0.0.1')
}
