// The process ends as it would without Sentinel, and the last batch is counted.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { Sentinel } from 'tenant-sentinel'

const at = (file) => fileURLToPath(new URL(`./programs/${file}`, import.meta.url))

/** Runs a program to its end: its exit code, the signal that ended it, and what it said. */
async function run(file, ...given) {
  const { signal, ...options } = typeof given.at(-1) === 'object' ? given.pop() : {}
  const child = spawn(process.execPath, [at(file), ...given], { stdio: ['ignore', 'pipe', 'pipe'], ...options })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk) => {
    out += chunk
    if (signal && out.includes('ready')) child.kill(signal)
  })
  child.stderr.on('data', (chunk) => (err += chunk))
  const timer = setTimeout(() => child.kill('SIGKILL'), 60_000)
  const [code, ended] = await once(child, 'close')
  clearTimeout(timer)
  return { code, ended, out, err }
}

test('a natural end is not held up, and counts', async () => {
  const began = Date.now()
  const { code, out } = await run('exit.js', 'naturally')
  assert.equal(code, 0)
  assert.match(out, /accepted 7/)
  assert.ok(Date.now() - began < 10_000)
})

test('process.exit ends with its code, and counts', async () => {
  const { code, out } = await run('exit.js', 'exit')
  assert.equal(code, 3)
  assert.match(out, /accepted 7/)
})

test('an uncaught error ends with its code and its text, and counts', async () => {
  for (const how of ['throws', 'rejects']) {
    const { code, out, err } = await run('exit.js', how)
    assert.equal(code, 1)
    assert.match(out, /accepted 7/)
    assert.match(err, /a bug in the application/)
  }
})

test('SIGTERM ends it like any other process; with a handler of its own, that one is heard and it counts', async () => {
  const { code, ended } = await run('exit.js', 'waits', { signal: 'SIGTERM' })
  assert.deepEqual([code, ended], [null, 'SIGTERM'])
  const handled = await run('exit.js', 'handles', { signal: 'SIGTERM' })
  assert.equal(handled.code, 0)
  assert.match(handled.out, /accepted 7/)
})

test('a timer that waits does not keep a process alive, nor does a request in flight', async () => {
  const { code, out } = await run('exit.js', 'in flight')
  assert.equal(code, 0)
  assert.match(out, /accepted 7/)
})

test('300 worker threads load the addon and are terminated, some in the middle of it', { timeout: 240_000 }, async () => {
  // In a process of its own, that has not loaded the addon: the last worker unloads it.
  const { code, ended, out, err } = await run('workers.js', '300')
  assert.deepEqual([code, ended], [0, null], err)
  assert.match(out, /ended 300/)
})

test('worker threads share a sentinel by its handle', async () => {
  const s = new Sentinel()
  s.record('main', '/', 200, 1)
  const workers = Array.from({ length: 4 }, () => new Worker(at('worker-attaches.js'), { workerData: s.handle }))
  await Promise.all(workers.map((worker) => once(worker, 'exit')))
  assert.equal(s.stats().accepted, 4_001)
  assert.equal(s.tenant('worker').requests, 4_000)
  assert.throws(() => Sentinel.attach(4_000_000_000), { name: 'RangeError', field: 'handle' })
  assert.throws(() => Sentinel.attach('x'), { name: 'TypeError', field: 'handle' })
})

test('each worker of a cluster records for itself', async () => {
  const { code, out, err } = await run('cluster.js', '4')
  assert.equal(code, 0, err)
  const counts = JSON.parse(out)
  assert.equal(counts.length, 4)
  assert.equal(counts.reduce((sum, count) => sum + count, 0), 400)
  assert.ok(counts.every((count) => count > 0), out)
})
