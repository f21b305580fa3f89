// People are told once, whichever process has seen it, and anybody may ask; what cannot be configured is named, and not shown.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import test from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import vm from 'node:vm'
import fc from 'fast-check'
import { Sentinel } from 'tenant-sentinel'
import { deadPort, receiver } from './support/receiver.js'

process.env.SENTINEL_EXPORTER_EVERY = '0.5s'
const CANARY = 'canary-7f3a'
const PATIENCE_MS = 10_000
const TEN = { tenantErrors: { atLeast: 10, for: 0 }, verdict: { errors: false, latency: false }, grouping: { first: 0, then: 0 } }
const at = (file) => fileURLToPath(new URL(file, import.meta.url))
const { failAt } = createRequire(import.meta.url)('../native.cjs')

function place(t) {
  const dir = mkdtempSync(join(tmpdir(), 'sentinel-'))
  chmodSync(dir, 0o700)
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

async function until(ask) {
  const end = Date.now() + PATIENCE_MS
  for (;;) {
    const found = await ask()
    if (found) return found
    assert.ok(Date.now() < end, 'not in time')
    await setTimeout(30)
  }
}

const webhook = (url, more) => ({ type: 'webhook', name: 'pager', url, ...more })

function shop(t, dir, sinks, more) {
  const s = new Sentinel({ service: 'shop', dir, alerts: { ...TEN, sinks }, ...more })
  t.after(() => s.close())
  return s
}

function fail(s, times = 12) {
  for (let i = 0; i < times; i++) s.record('acme', '/v1', 503, 3)
  s.publish()
}

/** The report, once the alert is told. */
const firing = (s) =>
  until(() => {
    const report = s.alerts()
    return report.alerts[0]?.phase === 'firing' && report.sinks[0].delivered > 0 && report
  })

test('one message comes, and every sentinel of the service knows', async (t) => {
  const [dir, to] = [place(t), await receiver(t)]
  const [one, other] = [shop(t, dir, [webhook(to.url)]), shop(t, dir, [webhook(to.url)])]
  one.startExporter()
  fail(other)
  const reports = [await firing(one), await firing(other)]
  assert.deepEqual(reports.map(({ leader }) => leader).sort(), [false, true])
  assert.equal(to.messages.length, 1)
  const { data, type } = to.messages[0]
  assert.deepEqual([type, data.service, data.firing], ['sentinel.alert', 'shop', 1])
  assert.deepEqual([data.listed[0].status, data.listed[0].subject], ['firing', { tenant_id: 'acme' }])
  for (const { alerts, sinks, counts } of reports) {
    assert.equal(alerts.length, 1)
    assert.deepEqual([alerts[0].subject, alerts[0].alert.id], [{ tenantId: 'acme' }, data.listed[0].id])
    assert.match(alerts[0].title, /^🚨 Sentinel: Tenant acme has /)
    assert.equal(alerts[0].alert.evidence.windowMs, 600_000)
    assert.deepEqual([sinks[0].offered, sinks[0].delivered, sinks[0].pending, sinks[0].dropped], [1, 1, 0, {}])
    assert.equal(counts.withoutPlace, 0)
  }
  for (const s of [one, other]) {
    const { status, body } = s.admin({ public: true }).respond('GET', '/alerts')
    assert.deepEqual([status, JSON.parse(body).alerts[0].subject], [200, { tenant_id: 'acme' }])
  }
  fail(one)
  await setTimeout(1_500)
  assert.equal(to.messages.length, 1)
})

test('of four workers of a cluster, none of which has seen enough, comes one message', async (t) => {
  const [dir, to] = [place(t), await receiver(t)]
  const child = spawn(process.execPath, [at('programs/alerts.js'), dir, to.url], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.after(async () => {
    child.stdin.end('end\n')
    if (child.exitCode === null) await once(child, 'exit')
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const answer = async () => JSON.parse((await lines.next()).value)
  assert.equal(await answer(), 'ready')
  await until(() => to.messages.length)
  await until(async () => {
    child.stdin.write('alerts\n')
    const answers = await answer()
    assert.equal(answers.length, 4)
    return answers.every(({ own, viewed }) => own.alerts?.[0]?.subject.tenantId === 'acme' && viewed.alerts?.[0]?.subject.tenant_id === 'acme')
  })
  await setTimeout(1_500)
  assert.deepEqual(to.messages.map(({ data }) => data.listed.map(({ status, subject }) => [status, subject.tenant_id])), [[['firing', 'acme']]])
})

test('who comes later does not tell again', async (t) => {
  const [dir, to] = [place(t), await receiver(t)]
  const state = join(dir, 'state')
  const share = join(dir, 'share')
  for (const inside of [state, share]) mkdirSync(inside, { mode: 0o700 })
  const one = shop(t, share, [webhook(to.url)], { stateDir: state })
  fail(one)
  const before = await firing(one)
  one.close()
  assert.ok(readdirSync(state, { recursive: true }).length > 0)
  assert.throws(() => one.alerts(), { name: 'Error', message: /closed/ })
  await assert.rejects(one.testAlert(), { name: 'Error', message: /closed/ })
  const after = await firing(shop(t, share, [webhook(to.url)], { stateDir: state }))
  assert.equal(after.alerts[0].alert.id, before.alerts[0].alert.id)
  await setTimeout(1_200)
  assert.equal(to.messages.length, 1)
})

test('a test says how it goes with each sink, and the event loop goes on', async (t) => {
  const [dir, to] = [place(t), await receiver(t)]
  const dead = `http://127.0.0.1:${await deadPort()}/${CANARY}`
  const [one, other] = [shop(t, dir, [webhook(to.url), webhook(dead, { name: 'dead' })]), shop(t, dir, [webhook(to.url)])]
  other.startExporter()
  const [bad, good] = await one.testAlert()
  assert.deepEqual(good, { name: 'pager', kind: 'webhook', error: null })
  assert.deepEqual([bad.name, bad.kind], ['dead', 'webhook'])
  assert.match(bad.error, /refused/)
  assert.ok(!JSON.stringify(bad).includes(CANARY))
  assert.deepEqual(to.messages.map(({ type }) => type), ['sentinel.test'])
  for (const timeout of [5, '5s', null, undefined]) assert.deepEqual(await one.testAlert('pager', { timeout }), [good])
  assert.deepEqual(await one.testAlert('dead'), [bad])
  await assert.rejects(one.testAlert('nobody'), { name: 'RangeError', code: 'ERR_SENTINEL_CONFIG', field: 'sink', value: '"nobody"', allowed: 'pager, dead' })
  await assert.rejects(one.testAlert(7), { name: 'TypeError', field: 'sink' })
  for (const timeout of ['soon', -1, Infinity]) await assert.rejects(one.testAlert(null, { timeout }), { name: 'RangeError', field: 'timeout' })
  await assert.rejects(one.testAlert(null, { within: 3 }), { name: 'TypeError', field: 'within' })

  to.answers = false
  let turns = 0
  const timer = setInterval(() => turns++, 5)
  assert.notEqual((await one.testAlert('pager', { timeout: 0.5 }))[0].error, null)
  clearInterval(timer)
  assert.ok(turns > 20, `${turns}`)
})

test('without configuration there is nothing to say', async (t) => {
  assert.equal(new Sentinel().alerts(), null)
  const s = new Sentinel({ service: 'shop', dir: place(t) })
  t.after(() => s.close())
  assert.equal(s.alerts(), null)
  for (const one of [s, new Sentinel()]) {
    await assert.rejects(one.testAlert(), { field: 'sink', message: 'sink: none is not allowed; allowed: one that is configured, and there is none' })
    await assert.rejects(one.testAlert('ops'), { name: 'RangeError', value: '"ops"' })
  }
})

const slack = { type: 'slack', url: `https://hooks.slack.com/${CANARY}` }
const cycle = []
cycle.push(cycle)
let deep = CANARY
for (let i = 0; i < 100_000; i++) deep = [deep]
const throws = () => {
  throw new Error(CANARY)
}

test('what cannot be used is named and not shown', (t) => {
  const dir = place(t)
  for (const [name, field, alerts] of [
    ['TypeError', 'alerts', CANARY],
    ['TypeError', 'alerts', 7],
    ['TypeError', 'alerts', true],
    ['TypeError', 'alerts', [slack]],
    ['TypeError', 'alerts', new Map([['sinks', [slack]]])],
    ['TypeError', 'alerts', new Date()],
    ['TypeError', 'alerts', { [slack.url]: 7 }],
    ['TypeError', 'alerts', { ['x'.repeat(33)]: 7 }],
    ['TypeError', 'alerts.tenant_errors', { tenant_errors: {} }],
    ['TypeError', 'alerts', { get sinks() { return throws() } }],
    ['TypeError', 'alerts', new Proxy({}, { ownKeys: throws })],
    ['TypeError', 'alerts', { [Symbol.toStringTag]: CANARY }],
    ['RangeError', 'alerts.atMost', { atMost: CANARY }],
    ['RangeError', 'alerts.sinks', { sinks: CANARY }],
    ['RangeError', 'alerts.sinks', { sinks: slack }],
    ['RangeError', 'alerts.sinks[0]', { sinks: [CANARY] }],
    ['TypeError', 'alerts.sinks[0]', { sinks: [, slack] }],
    ['RangeError', 'alerts.sinks[1].url', { sinks: [slack, { ...slack, name: 'b', url: CANARY }] }],
    ['RangeError', 'alerts.sinks[0].url', { sinks: [{ ...slack, url: `http://hooks.slack.com/${CANARY}` }] }],
    ['RangeError', 'alerts.sinks[0].url', { sinks: [{ ...slack, url: 112233 }] }],
    ['TypeError', 'alerts.sinks[0].url', { sinks: [{ ...slack, url: new URL(slack.url) }] }],
    ['TypeError', 'alerts.sinks[0].url', { sinks: [{ ...slack, url: Buffer.from(slack.url) }] }],
    ['RangeError', 'alerts.sinks[0].url', { sinks: [{ ...slack, url: { env: `NO_${CANARY}` } }] }],
    ['RangeError', 'alerts.sinks[0].secret', { sinks: [{ ...slack, type: 'webhook', secret: CANARY }] }],
    ['RangeError', 'alerts.sinks[0].urll', { sinks: [{ ...slack, urll: CANARY }] }],
    ['RangeError', 'alerts.sinks[0].type', { sinks: [{ ...slack, type: CANARY }] }],
    ['RangeError', 'alerts.sinks[0].caFile', { sinks: [{ ...slack, caFile: CANARY }] }],
    ['RangeError', 'alerts.sinks[0].maxSize', { sinks: [{ type: 'log', to: '/x', maxSize: CANARY }] }],
    ['RangeError', 'alerts.sinks[1].name', { sinks: [slack, slack] }],
    ['RangeError', 'alerts.tenantErrors', { tenantErrors: CANARY }],
    ['RangeError', 'alerts.tenantErrors.atLeast', { tenantErrors: { atLeast: CANARY } }],
    ['RangeError', 'alerts.tenantErrors.atLeast', { tenantErrors: { atLeast: 0 } }],
    ['TypeError', 'alerts.tenantErrors.atLeast', { tenantErrors: { atLeast: 10n } }],
    ['RangeError', 'alerts.tenantErrors.keepFiringFor', { tenantErrors: { keepFiringFor: CANARY } }],
    ['RangeError', 'alerts.tenantShare.above', { tenantShare: { above: NaN } }],
    ['RangeError', 'alerts.tenantErrors', { tenantErrors: NaN }],
    ['RangeError', 'alerts.verdict.kinds[0]', { verdict: { kinds: [CANARY] } }],
    ['RangeError', `alerts.sinks${'[0]'.repeat(7)}`, { sinks: cycle }],
    ['RangeError', `alerts.sinks${'[0]'.repeat(7)}`, { sinks: deep }],
    ['RangeError', 'alerts.sinks', { sinks: new Array(2_000_000) }],
    ['RangeError', 'alerts.sinks[0].url', { sinks: [{ ...slack, url: CANARY.repeat(200_000) }] }]
  ]) {
    let error
    try {
      new Sentinel({ service: 'shop', dir, alerts })
    } catch (caught) {
      error = caught
    }
    assert.deepEqual([error?.name, error?.field, error?.code], [name, field, 'ERR_SENTINEL_CONFIG'], inspect(error))
    const { stack, ...own } = error
    for (const text of [String(error), JSON.stringify(own), error.message]) {
      assert.ok(!text.includes(CANARY), text)
      assert.ok(text.length < 800, text)
    }
  }
  // Options are called what they are called here.
  assert.throws(() => new Sentinel({ service: 'shop', alerts: { tenantShares: {} } }), ({ allowed }) => /`tenantShare`/.test(allowed))
  assert.throws(() => new Sentinel({ service: 'shop', alerts: { sinks: [{ ...slack, keep: 3 }] } }), ({ allowed }) => /caFile for slack/.test(allowed))
  assert.throws(() => new Sentinel({ alerts: { sinks: [slack] } }), { field: 'service', value: 'none' })
  assert.throws(() => new Sentinel({ service: 'shop', dir, stateDir: 'here' }), { field: 'stateDir' })
  assert.throws(() => new Sentinel({ service: 'shop', dir, stateDir: 7 }), { name: 'TypeError', field: 'stateDir' })
})

test('every form of a value is read', async (t) => {
  const to = await receiver(t)
  process.env.SENTINEL_TEST_URL = to.url
  const sink = vm.runInNewContext("({ type: 'webhook', url: { env: 'SENTINEL_TEST_URL' }, name: undefined })")
  const rule = Object.assign(Object.create(null), { above: 0.5, keepFiringFor: '1m', for: 0 })
  const s = new Sentinel({ service: 'shop', dir: place(t), alerts: { tenantShare: rule, tenantErrors: null, sinks: [sink] } })
  t.after(() => s.close())
  assert.deepEqual(await s.testAlert(), [{ name: 'webhook', kind: 'webhook', error: null }])
})

test('a secret is nowhere to be seen', async (t) => {
  const dir = place(t)
  const dead = `http://127.0.0.1:${await deadPort()}/${CANARY}`
  const secret = `whsec_${Buffer.from(CANARY.repeat(3)).toString('base64')}`
  const s = shop(t, dir, [webhook(dead, { secret }), { type: 'log', to: join(dir, 'log') }])
  fail(s)
  await until(() => s.alerts().sinks.find(({ name }) => name === 'pager').lastError)
  await until(() => existsSync(join(dir, 'log')))
  const seen = [inspect(s, { depth: 9, showHidden: true }), JSON.stringify([s, s.alerts(), s.sharing(), s.stats(), await s.testAlert()])]
  for (const name of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    if (name.isFile()) seen.push(readFileSync(join(name.parentPath, name.name), 'latin1'))
  }
  for (const text of seen) assert.ok(!text.includes(CANARY) && !text.includes(secret))
})

test('whatever is given works or is an error that names it', (t) => {
  const dir = place(t)
  const names = ['verdict', 'tenantErrors', 'tenantShare', 'tenantLatency', 'grouping', 'sinks', 'atLeast', 'for', 'type', 'url', 'name', 'to', 'host', 'kinds', 'secret', 'caFile', 'env', 'file', 'maxSize']
  const { tree } = fc.letrec((tie) => ({
    leaf: fc.oneof(
      fc.anything({ withBigInt: true, withDate: true, withTypedArray: true, withNullPrototype: true, withMap: true, withSparseArray: true, maxDepth: 1 }),
      fc.constantFrom('slack', 'webhook', 'log', 'email', '2m', 0, 10, 0.5, '\ud800', Symbol('x'), () => 1),
      fc.string({ unit: 'binary' })
    ),
    tree: fc.oneof({ depthSize: 'small' }, tie('leaf'), fc.array(tie('tree'), { maxLength: 4 }), fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string()), tie('tree'), { maxKeys: 5 }))
  }))
  const table = fc.dictionary(fc.constantFrom(...names.slice(0, 6)), tree, { maxKeys: 3 })
  fc.assert(
    fc.property(fc.oneof(tree, table), (alerts) => {
      try {
        new Sentinel({ service: 'shop', dir, alerts })
      } catch (error) {
        assert.equal(error.code, 'ERR_SENTINEL_CONFIG')
        assert.ok(error.field.startsWith('alerts'), error.field)
        assert.ok(error.message.length < 1_000)
      }
    }),
    { numRuns: 600 }
  )
  assert.deepEqual(readdirSync(dir), [])
})

/** Runs a program that tests a sink which never answers: its exit code, the signal that ended it, what it said, and how long it took. */
async function run(t, how) {
  const [dir, to] = [place(t), await receiver(t)]
  to.answers = false
  const child = spawn(process.execPath, [at('programs/sink-test.js'), dir, to.url, how], { stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk) => (out += chunk))
  child.stderr.on('data', (chunk) => (err += chunk))
  await until(() => to.messages.length)
  const began = Date.now()
  const [code, signal] = await once(child, 'close')
  return { code, signal, out, err, took: Date.now() - began }
}

test('a process ends in the middle of a test, and is kept alive by its promise only', { concurrency: false }, async (t) => {
  const exit = await run(t, 'exit')
  assert.deepEqual([exit.code, exit.signal, exit.err], [3, null, ''])
  assert.ok(exit.took < 4_000, `${exit.took}`)
  const thrown = await run(t, 'throws')
  assert.deepEqual([thrown.code, thrown.signal], [1, null])
  assert.match(thrown.err, /a bug in the application/)
  assert.ok(thrown.took < 4_000, `${thrown.took}`)
  const awaited = await run(t, 'awaits')
  assert.deepEqual([awaited.code, awaited.signal, awaited.out.trim()], [0, null, '6'], awaited.err)
  assert.ok(awaited.took < 4_000, `${awaited.took}`)
  // Neither does a worker thread wait, nor who waits for worker threads.
  for (const [how, said] of [['thread', 'terminated'], ['exit beside', '']]) {
    const thread = await run(t, how)
    assert.deepEqual([thread.code, thread.signal, thread.out.trim()], [3, null, said], thread.err)
    assert.ok(thread.took < 4_000, `${how}: ${thread.took}`)
  }
})

test('tests are not without number, and nobody who reads a file waits for them', async (t) => {
  const { code, out, err } = await run(t, 'too many')
  assert.equal(code, 0, err)
  assert.deepEqual(JSON.parse(out), [Array(4).fill('16 tests are under way'), true])
})

test('a defect in it is an error, and no more', async (t) => {
  const s = shop(t, place(t), [{ type: 'log' }])
  t.after(() => failAt())
  failAt('alerts')
  assert.throws(() => s.alerts(), /failed inside/)
  failAt('test_alert')
  await assert.rejects(s.testAlert(), /failed inside/)
  failAt()
  assert.equal(s.stats().adapterFailures, 2)
  s.alerts()
})

test('the snippet of the README works as it is pasted', async (t) => {
  const text = readFileSync(at('../README.md'), 'utf8').split('## Alerts\n')[1]
  const code = text.split('```js\n')[1].split('```')[0]
  const env = { ...process.env, SENTINEL_DIR: place(t) }
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { cwd: at('..'), env, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk) => (out += chunk))
  child.stderr.on('data', (chunk) => (err += chunk))
  const [exit] = await once(child, 'close')
  assert.equal(exit, 0, err)
  assert.match(out, /name: 'log', kind: 'log', error: null/)
})
