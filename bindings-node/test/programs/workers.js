// Loads the addon in worker threads only, and terminates them, at once or after some records.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

const COUNT = Number(process.argv[2])
const program = new URL('./worker-records.js', import.meta.url)
let ended = 0

async function cycle(i) {
  const worker = new Worker(program, { workerData: i })
  worker.on('error', (error) => {
    throw error
  })
  if (i % 3 === 0) await once(worker, 'message')
  if (i % 3 === 1) await new Promise((resolve) => setTimeout(resolve, i % 60))
  if (i % 3 === 2) await once(worker, 'exit')
  else await worker.terminate()
  ended++
}

for (let i = 0; i < COUNT; i += 6) await Promise.all([0, 1, 2, 3, 4, 5].filter((j) => i + j < COUNT).map((j) => cycle(i + j)))
console.log(`ended ${ended}`)
