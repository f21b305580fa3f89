// A defect in native code is not the host's. Each file of tests is a process of its own: what is switched off here stays here.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, test } from 'node:test'
import { Sentinel } from 'tenant-sentinel'

const { failAt } = createRequire(import.meta.url)('../native.cjs')

beforeEach(() => failAt())

test('a batch that panics is counted as lost, and the ledger holds', () => {
  const s = new Sentinel()
  failAt('flush')
  for (let i = 0; i < 600; i++) s.record('acme', '/', 200, 1)
  failAt()
  s.record('acme', '/', 200, 1)
  const stats = s.stats()
  assert.deepEqual([stats.offered, stats.accepted, stats.dropped.internal], [601, 89, 512])
  assert.ok(stats.adapterFailures > 0)
})

test('an event that goes alone and panics is counted as lost', () => {
  const s = new Sentinel()
  failAt('record')
  s.record('x'.repeat(10_000), '/', 200, 1)
  failAt()
  assert.deepEqual([s.stats().offered, s.stats().dropped.internal], [1, 1])
})

for (const entry of ['start_flight', 'set_flight_tenant', 'end_flight']) {
  test(`a request in flight survives a panic in ${entry}`, () => {
    const s = new Sentinel()
    failAt(entry)
    const request = s.start('acme')
    s.stats() // tells of it
    request.tenant('beta')
    request.finish('/', 200)
    failAt()
    assert.equal(s.stats().accepted, 1)
    assert.equal(s.stats().adapterFailures, 1)
  })
}

for (const [entry, ask] of [
  ['report', (s) => s.report()],
  ['text', (s) => s.text()],
  ['verdict', (s) => s.verdict()],
  ['latency_verdict', (s) => s.latencyVerdict()],
  ['tenant', (s) => s.tenant('acme')],
  ['stats', (s) => s.stats()],
  ['memory', (s) => s.memory()],
  ['tick', (s) => s.tick()],
  ['admin', (s) => s.admin()],
  ['alerts', (s) => s.alerts()],
  ['uptime', (s) => s.uptime()]
]) {
  test(`${entry} says that it failed`, () => {
    const s = new Sentinel()
    failAt(entry)
    assert.throws(() => ask(s), /failed inside/)
    failAt()
    ask(s)
    assert.equal(s.stats().adapterFailures, 1)
  })
}

test('what has a thread goes on without it', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'panics-'))
  t.after(() => rmSync(dir, { recursive: true }))
  const s = new Sentinel({ service: 'shop', dir: join(dir, 'shop') })
  const entries = [
    ['start_exporter', () => s.startExporter(), undefined],
    ['publish', () => s.publish(), false],
    ['close_exporter', () => s.close(), undefined]
  ]
  for (const [i, [entry, ask, answer]] of entries.entries()) {
    failAt(entry)
    assert.equal(ask(), answer)
    failAt()
    assert.equal(s.stats().adapterFailures, i + 1, entry)
  }
  s.close()
})

test('a sentinel that cannot be made is an error', () => {
  failAt('new')
  assert.throws(() => new Sentinel(), /failed inside/)
  failAt()
  new Sentinel()
})

test('the admin view answers 500', () => {
  const admin = new Sentinel().admin({ public: true })
  failAt('admin_respond')
  assert.equal(admin.respond('GET', '/report').status, 500)
  failAt()
  assert.equal(admin.respond('GET', '/report').status, 200)
})

test('after a few panics nothing is tried any more, and the host goes on', () => {
  const s = new Sentinel()
  failAt('flush')
  for (let i = 0; i < 5_000; i++) s.record('acme', '/', 200, 1)
  assert.throws(() => s.report(), /failed inside/)
  assert.throws(() => new Sentinel(), /failed inside/)
})
