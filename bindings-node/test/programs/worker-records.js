// A worker thread that records, and goes on until it is terminated, or ends by itself.
import { parentPort, workerData } from 'node:worker_threads'
import { Sentinel } from 'tenant-sentinel'

const s = new Sentinel({ budget: '8MiB' })
globalThis.request = s.start('acme')
for (let i = 0; i < 2_000; i++) s.record(`tenant-${i}`, '/', 200, 1)
s.report()
parentPort.postMessage('recorded')
if (workerData % 3 !== 2) setInterval(() => s.record('acme', '/', 200, 1), 1)
