// Tests a sink that never answers, and ends meanwhile, in the way that is asked for.
import { readFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { Worker, isMainThread, workerData } from 'node:worker_threads'
import { Sentinel } from 'tenant-sentinel'

const [dir, url, how] = isMainThread ? process.argv.slice(2) : workerData
const s = new Sentinel({ service: 'shop', dir, alerts: { sinks: [{ type: 'webhook', url }] } })

if (how === 'thread') {
  const worker = new Worker(new URL(import.meta.url), { workerData: [dir, url, 'in thread'] })
  await setTimeout(1_000)
  await worker.terminate()
  console.log('terminated')
  process.exit(3)
}
const tests = Array.from({ length: how === 'too many' ? 20 : 6 }, () => s.testAlert(null, { timeout: how === 'awaits' ? 1 : 10 }).catch((error) => error))
await setTimeout(500)
if (how === 'exit') process.exit(3)
if (how === 'exit beside') {
  new Worker(new URL(import.meta.url), { workerData: [dir, url, 'in thread'] })
  await setTimeout(1_000)
  process.exit(3)
}
if (how === 'throws') throw new Error('a bug in the application')
if (how === 'too many') {
  const refused = (await Promise.race([Promise.all(tests.slice(16)), setTimeout(2_000, [])])).map(({ message }) => message)
  // Others are not kept waiting: the pool is free.
  const began = Date.now()
  await readFile(new URL(import.meta.url))
  console.log(JSON.stringify([refused, Date.now() - began < 1_000]))
  process.exit(0)
}
if (how === 'awaits') console.log((await Promise.all(tests)).length)
