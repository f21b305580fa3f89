// A worker thread that records into the sentinel of its parent, and leaves the last batch to its end.
import { workerData } from 'node:worker_threads'
import { Sentinel } from 'tenant-sentinel'

const s = Sentinel.attach(workerData)
for (let i = 0; i < 1_000; i++) s.record('worker', '/', 200, 1)
