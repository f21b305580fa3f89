// Four workers under cluster, each of which sees some of a tenant's errors. On standard input: `alerts` asks every worker, by the admin
// view and by itself; `end` ends all of them.
import cluster from 'node:cluster'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { Sentinel } from 'tenant-sentinel'

const [, , dir, url] = process.argv

if (cluster.isPrimary) {
  const workers = Array.from({ length: 4 }, () => cluster.fork())
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  const ask = async (worker) => {
    const answer = once(worker, 'message')
    worker.send('alerts?')
    return (await answer)[0]
  }
  console.log(JSON.stringify('ready'))
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === 'end') break
    console.log(JSON.stringify(await Promise.all(workers.map(ask))))
  }
  for (const worker of workers) worker.process.kill('SIGKILL')
  process.exit(0)
} else {
  const grouping = { first: 0, then: 0 }
  const verdict = { errors: false, latency: false }
  const s = new Sentinel({
    service: 'shop',
    dir,
    alerts: { tenantErrors: { atLeast: 18, for: 0 }, verdict, grouping, sinks: [{ type: 'webhook', url }] }
  })
  // None of them has seen enough.
  for (let i = 0; i < 5; i++) s.record('acme', '/v1', 503, 3)
  s.publish()
  process.send('ready')
  process.on('message', () => {
    const { body } = s.admin({ public: true }).respond('GET', '/alerts')
    let own
    try {
      own = s.alerts()
    } catch (error) {
      own = { error: String(error) }
    }
    process.send({ own, viewed: JSON.parse(body) })
  })
}
