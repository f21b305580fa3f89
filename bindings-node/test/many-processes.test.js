// All processes of a service on this host answer as one.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import test from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Sentinel } from 'tenant-sentinel'

const PATIENCE_MS = 15_000

function place(t) {
  const dir = mkdtempSync(join(tmpdir(), 'sentinel-'))
  chmodSync(dir, 0o700)
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** The service, and a way to tell it what to do. */
async function service(t, dir) {
  const program = fileURLToPath(new URL('programs/many-processes.js', import.meta.url))
  const child = spawn(process.execPath, [program, dir], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.after(async () => {
    child.stdin.end()
    if (child.exitCode === null) await once(child, 'exit')
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const answer = async () => JSON.parse((await lines.next()).value)
  assert.equal(await answer(), 4)
  return async (command) => {
    child.stdin.write(`${command}\n`)
    return answer()
  }
}

/** Asks until every worker says what it should; meanwhile no count may step back. */
async function until(say, expected) {
  const end = Date.now() + PATIENCE_MS
  let most = 0
  for (;;) {
    const answers = await say('ask')
    for (const { scope, note, requests } of answers) {
      assert.equal(scope, 'host', note)
      assert.ok(requests >= most, `it was ${most}, and is ${requests}`)
    }
    most = Math.max(...answers.map(({ requests }) => requests))
    if (answers.every(({ requests }) => requests === expected.requests)) return answers
    assert.ok(most <= expected.requests, `${most} of ${expected.requests}`)
    assert.ok(Date.now() < end, JSON.stringify(answers))
    // A worker that is asked the same more than four times a second may say again what it has just said.
    await setTimeout(300)
  }
}

test('any worker of a cluster answers the exact total of the host, whoever ends', async (t) => {
  const say = await service(t, place(t))
  let requests = await say('load 700')
  for (const answer of await until(say, { requests })) {
    assert.deepEqual([answer.errors, answer.t0, answer.sources], [100, 100, 4])
  }
  // A worker that is told to end publishes what it has counted, and what it has counted stays.
  requests += await say('load 280')
  await say('stop')
  for (const answer of await until(say, { requests })) assert.equal(answer.errors, 140)
  // One that is killed loses at most what it had not published; all of this was seen.
  await say('kill')
  for (const answer of await until(say, { requests })) assert.equal(answer.errors, 140)
  requests += await say('load 70')
  for (const answer of await until(say, { requests })) assert.equal(answer.errors, 150)
})

test('a service is heard of before its first event, and published on demand', (t) => {
  const dir = place(t)
  const [one, other] = [new Sentinel({ service: 'shop', dir }), new Sentinel({ service: 'shop', dir })]
  assert.equal(one.sharing().running, false)
  one.startExporter()
  assert.equal(one.sharing().running, true)
  other.record('acme', '/v1', 500, 3)
  assert.equal(other.publish(), true)
  const report = one.report()
  assert.deepEqual([report.scope, report.scopeNote, report.totals.errors], ['host', null, 1])
  assert.equal(one.report({ scope: 'process' }).totals.requests, 0)
  assert.equal(one.tenant('acme').scope, 'host')
  assert.equal(one.tenant('acme', { scope: 'process' }), undefined)
  assert.match(one.text({ scope: 'host' }), /acme/)
  other.close()
  assert.equal(one.report().totals.errors, 1)
  one.close()
  assert.match(one.report().scopeNote, /closed/)
})

test('where it cannot be shared, each answers for itself and says why', (t) => {
  const dir = place(t)
  const file = join(dir, 'in-the-way')
  writeFileSync(file, '')
  const s = new Sentinel({ service: 'shop', dir: file })
  t.after(() => s.close())
  s.record('acme', '/v1', 500, 3)
  const report = s.report()
  assert.deepEqual([report.scope, report.totals.errors], ['process', 1])
  assert.match(report.scopeNote, /directory/)
  assert.ok(s.sharing().failures.publish > 0)
  assert.equal(new Sentinel().sharing(), null)
})

test('what cannot be shared under is refused', (t) => {
  const dir = place(t)
  const file = join(dir, 'sentinel.toml')
  writeFileSync(file, '[exporter]\nevery = "never"\n')
  for (const [options, field] of [
    [{ service: '../x' }, 'service'],
    [{ service: 'shop', dir: 'here' }, 'dir'],
    [{ config: file }, 'exporter.every'],
    [{ config: join(dir, 'none.toml') }, 'config']
  ]) {
    assert.throws(() => new Sentinel(options), { name: 'RangeError', field })
  }
  assert.throws(() => new Sentinel({ service: 7 }), { name: 'TypeError', field: 'service' })
  assert.throws(() => new Sentinel().report({ scope: 'planet' }), { name: 'RangeError', field: 'scope' })
})
