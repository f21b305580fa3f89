// What is checked is read as it is given, what cannot be used is named and not shown, and the types are those of the document.
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { inspect } from 'node:util'
import { Sentinel } from 'tenant-sentinel'

const { nestedOptionJson } = createRequire(import.meta.url)('../lib/core/nested-options.cjs')
const CANARY = 'canary-7f3a'
const check = { name: 'shop', target: `https://shop.example/${CANARY}` }

function place(t) {
  const dir = mkdtempSync(join(tmpdir(), 'sentinel-'))
  chmodSync(dir, 0o700)
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

test('names of options are those of the file, and keys that are somebody’s own stay', () => {
  const given = {
    checks: [
      {
        ...check,
        interval: '30s',
        verifyTls: false,
        certificateDays: undefined,
        headers: { 'X-Api-Key': CANARY, userAgent: 'x', __proto__: null, constructor: 'y' },
        expect: { status: ['2xx', 304], json: JSON.parse('{"/dbReady": true, "": {"aB": [{"cD": null}], "__proto__": {"eF": 1}}}'), maxLatency: 0.8 },
        maintenance: [{ weekly: { days: ['sat'], at: '03:00', for: '90m' } }]
      }
    ]
  }
  assert.equal(
    nestedOptionJson('uptime', given),
    '{"checks":[{"name":"shop","target":"https://shop.example/canary-7f3a","interval":"30s","verify_tls":false,' +
      '"headers":{"X-Api-Key":"canary-7f3a","userAgent":"x","constructor":"y"},' +
      '"expect":{"status":["2xx",304],"json":{"/dbReady":true,"":{"aB":[{"cD":null}],"__proto__":{"eF":1}}},"max_latency":0.8},' +
      '"maintenance":[{"weekly":{"days":["sat"],"at":"03:00","for":"90m"}}]}]}'
  )
})

test('what cannot be used is named and not shown', (t) => {
  const dir = place(t)
  const of = (more) => ({ checks: [check, { ...check, ...more }] })
  for (const [name, field, uptime] of [
    ['TypeError', 'uptime', CANARY],
    ['TypeError', 'uptime', [check]],
    ['TypeError', 'uptime', { [`${CANARY}/`]: 7 }],
    ['TypeError', 'uptime.checks', { checks: new Set([CANARY]) }],
    ['TypeError', 'uptime.checks[1].target', of({ target: Buffer.from(CANARY) })],
    ['TypeError', 'uptime.checks[1].verify_tls', of({ verify_tls: true })],
    ['RangeError', 'uptime.checks[1].interval', of({ interval: NaN })],
    ['TypeError', 'uptime.checks[1].headers', of({ headers: { [CANARY]: () => CANARY } })],
    ['TypeError', 'uptime.checks[1].expect.json[2]', of({ expect: { json: { [CANARY]: [1, 2, { [CANARY]: new Date() }] } } })],
    ['RangeError', 'uptime.checks[1].expect.json', of({ expect: { json: { a: { b: { c: { d: { e: 1 } } } } } } })],
    ['TypeError', 'uptime.checks[1].expect', of({ expect: { [`/${CANARY}`]: 1 } })],
    ['TypeError', 'uptime', { get checks() { throw new Error(CANARY) } }],
    ['RangeError', 'uptime.checks[1].headers', of({ headers: { ['x'.repeat(1 << 20)]: '' } })]
  ]) {
    assert.throws(
      () => new Sentinel({ service: 'shop', dir, uptime }),
      (error) => {
        assert.deepEqual([error.name, error.code, error.field], [name, 'ERR_SENTINEL_CONFIG', field])
        assert.ok(!inspect(error).includes(CANARY), inspect(error))
        return true
      }
    )
  }
  // Only there: an alert has no keys that are somebody's own.
  assert.throws(() => new Sentinel({ service: 'shop', dir, alerts: { headers: { '/a': 1 } } }), { name: 'TypeError', field: 'alerts.headers' })
})

test('a target is up and down', async (t) => {
  const answers = { status: 200 }
  const server = createServer((request, response) => response.writeHead(answers.status).end())
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const target = `http://127.0.0.1:${server.address().port}/${CANARY}`
  const s = new Sentinel({
    service: 'shop',
    dir: place(t),
    uptime: { allow: ['loopback'], checks: [{ name: 'shop', target, interval: '1s', confirm: { every: '100ms' } }] },
    alerts: { grouping: { first: 0, then: 0 } }
  })
  t.after(() => s.close())
  const within = async (ask) => {
    for (const end = Date.now() + 20_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 20))) {
      const found = ask()
      if (found) return found
    }
    throw new Error('not in time')
  }
  const standing = (status) => {
    const found = s.uptime({ series: true })
    return found.counts[status] === 1 && found
  }
  const report = await within(() => standing('up'))
  const [shop] = report.checks
  assert.deepEqual([shop.name, shop.last.status, shop.days.upMs.length, report.leader, report.service, report.note], ['shop', 200, 90, true, 'shop', null])
  answers.status = 503
  assert.equal((await within(() => standing('down'))).checks[0].last.cause, 'status')
  const [alert] = await within(() => s.alerts().alerts.length === 1 && s.alerts().alerts)
  assert.deepEqual([alert.rule, alert.subject, alert.alert.evidence.target.httpStatus], ['target_down', { target: 'shop' }, 503])
  answers.status = 200
  await within(() => standing('up') && s.alerts().alerts.length === 0)
  assert.ok(!JSON.stringify([s.uptime(), s.alerts(), s.sharing()]).includes(CANARY))
})

test('without checks there is nothing to say', (t) => {
  assert.equal(new Sentinel().uptime(), null)
  const s = new Sentinel({ service: 'shop', dir: place(t) })
  t.after(() => s.close())
  assert.equal(s.uptime({ series: true }), null)
  const { status, body } = s.admin({ public: true }).respond('GET', '/uptime', 'series=1')
  assert.deepEqual([status, JSON.parse(body)], [200, null])
  assert.throws(() => s.uptime({ series: 'yes' }), { name: 'TypeError', field: 'series' })
  assert.throws(() => s.uptime({ days: true }), { name: 'TypeError', field: 'days' })
})

test('the types are those of the document', () => {
  const { schemas } = JSON.parse(new Sentinel().admin({ public: true }).respond('GET', '/openapi.json').body).components
  const declared = readFileSync(new URL('../lib/types/uptime.d.cts', import.meta.url), 'utf8')
  const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase())
  const window = schemas.CheckStanding.properties.windows.items
  for (const [type, schema] of Object.entries({ UptimeReport: schemas.Uptime, CheckStanding: schemas.CheckStanding, CheckResult: schemas.CheckResult, Days: schemas.Days, UptimeWindow: window })) {
    const [, body] = declared.match(new RegExp(`export interface ${type} \\{\\n([^]*?)\\n\\}`))
    const fields = [...body.matchAll(/^ {2}(\w+)\??: (.*)$/gm)]
    assert.deepEqual(fields.map(([, name]) => name).sort(), Object.keys(schema.properties).map(camel).sort(), type)
    for (const [, name, said] of fields) {
      const found = schema.properties[Object.keys(schema.properties).find((key) => camel(key) === name)]
      const isNull = [found.type].flat().includes('null') || (found.oneOf ?? []).some(({ type }) => type === 'null')
      assert.equal(said.includes('null'), isNull, `${type}.${name}`)
      assert.equal(body.includes(`  ${name}?: `), !schema.required.includes(Object.keys(schema.properties).find((key) => camel(key) === name)), `${type}.${name}`)
    }
  }
})
