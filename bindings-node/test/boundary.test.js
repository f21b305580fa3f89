// `record` never throws, whatever its arguments are, and the counters add up; errors name the option that cannot be used.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Sentinel, setTenant } from 'tenant-sentinel'
import * as onExpress from 'tenant-sentinel/express'
import * as onFastify from 'tenant-sentinel/fastify'
import * as onHono from 'tenant-sentinel/hono'
import * as onHttp from 'tenant-sentinel/http'
import * as onKoa from 'tenant-sentinel/koa'
import * as onNest from 'tenant-sentinel/nest'

/** Throws wherever it is touched. */
const hostile = () =>
  new Proxy(function () {}, {
    get(_target, name) {
      throw new Error(`touched: ${String(name)}`)
    },
    getPrototypeOf() {
      throw new Error('touched')
    },
    has() {
      throw new Error('touched')
    }
  })

const getters = () => ({
  get length() {
    throw new Error('touched')
  },
  toString() {
    throw new Error('touched')
  },
  [Symbol.toPrimitive]() {
    throw new Error('touched')
  }
})

// fast-check looks into what it makes, so these are made when they are given.
const HOSTILE = Symbol('hostile')
const GETTERS = Symbol('getters')
const made = (value) => (value === HOSTILE ? hostile() : value === GETTERS ? getters() : value)

const anything = fc.oneof(
  fc.anything({ withBigInt: true, withDate: true, withTypedArray: true, withNullPrototype: true, maxDepth: 2 }),
  fc.double(),
  fc.integer(),
  fc.bigInt(),
  fc.string({ unit: 'binary' }),
  fc.string(),
  fc.uint8Array(),
  fc.constantFrom('\ud800', 'a\udfff', 'x'.repeat(1 << 20), 'é'.repeat(1 << 18), new Uint8Array(1 << 20), Symbol('x'), 1e308, -1, NaN),
  fc.constantFrom(HOSTILE, GETTERS)
)
const shared = new Sentinel()

function holds(stats) {
  assert.equal(stats.offered, stats.accepted + Object.values(stats.dropped).reduce((sum, count) => sum + count, 0))
  assert.equal(stats.accepted, stats.inWindow + stats.expired)
  return stats
}

test('nothing escapes record', () => {
  fc.assert(
    fc.property(anything, anything, anything, anything, anything, (...given) => {
      const before = shared.stats().offered
      assert.equal(shared.record(...given.map(made)), undefined)
      assert.equal(holds(shared.stats()).offered, before + 1)
    }),
    { numRuns: 1_000 }
  )
})

test('many at once in any mixture, and none is lost', () => {
  const event = fc.tuple(anything, anything, anything, anything, anything)
  fc.assert(
    fc.property(fc.array(event, { maxLength: 50 }), fc.integer({ min: 1, max: 40 }), (events, times) => {
      const before = shared.stats().offered
      for (let i = 0; i < times; i++) for (const given of events) shared.record(...given.map(made))
      assert.equal(holds(shared.stats()).offered, before + events.length * times)
    }),
    { numRuns: 50 }
  )
})

test('nothing escapes a guard', () => {
  fc.assert(
    fc.property(anything, anything, anything, anything, (...given) => {
      const [first, second, endpoint, status] = given.map(made)
      const before = shared.stats().offered
      const request = shared.start(first)
      request.tenant(second)
      request.endpoint(endpoint)
      request.finish(endpoint, status)
      request.finish(endpoint, status)
      setTenant(first, second)
      assert.equal(holds(shared.stats()).offered, before + 1)
    }),
    { numRuns: 500 }
  )
})

const OPTIONS = ['window', 'slot', 'budget', 'errors', 'places', 'maxEndpoints', 'stripes', 'slowAfter', 'adminToken', 'service', 'dir', 'config', 'alerts', 'uptime', 'stateDir']
const isNamed = (error, fields) => {
  assert.ok(error instanceof TypeError || error instanceof RangeError, String(error))
  assert.equal(error.code, 'ERR_SENTINEL_CONFIG')
  // A value inside an object is named by its path, as `uptime.checks[0].url`.
  const inside = ['alerts', 'uptime'].filter((field) => fields.includes(field))
  assert.ok(fields.includes(error.field) || inside.some((field) => error.field.startsWith(`${field}.`)), error.field)
  assert.ok(error.message.startsWith(`${error.field}: `) && error.allowed.length > 0)
}

test('an option works or is an error that names it', () => {
  fc.assert(
    fc.property(fc.constantFrom(...OPTIONS), anything, (option, value) => {
      if (option === 'budget' && typeof value === 'number' && value > 1 << 26) return // it would do, and take the memory of this machine
      try {
        // A service that is named publishes to a directory: it must not outlive this.
        new Sentinel({ [option]: made(value) }).close()
      } catch (error) {
        isNamed(error, [option, 'window', ...(['alerts', 'uptime'].includes(option) ? ['service'] : [])])
      }
    }),
    { numRuns: 500 }
  )
})

test('a query answers or is an error that names the argument', () => {
  fc.assert(
    fc.property(anything, anything, anything, anything, fc.oneof(fc.constantFrom('process', 'host'), anything), (...given) => {
      const [by, limit, window, series, scope] = given.map(made)
      for (const [ask, fields] of [
        [() => shared.report({ by, limit, window, series, scope }), ['by', 'limit', 'window', 'series', 'scope']],
        [() => shared.report({ scope }), ['scope']],
        [() => shared.text({ by, limit, window, scope }), ['by', 'limit', 'window', 'scope']],
        [() => shared.tenant(by, { window, scope }), ['tenantId', 'window', 'scope']]
      ]) {
        try {
          ask()
        } catch (error) {
          isNamed(error, fields)
        }
      }
    }),
    { numRuns: 300 }
  )
})

const ADAPTERS = { express: onExpress, fastify: onFastify, hono: onHono, http: onHttp, koa: onKoa }
/** The part of a Nest application that the adapter uses. */
const nest = { getHttpAdapter: () => ({ getType: () => 'express' }), use() {} }

const THROWS = Symbol('throws')
/** Objects of options: with these names and others, of anything, or that throw when they are looked at. */
const given = (names) =>
  fc.oneof(
    anything,
    fc.dictionary(fc.constantFrom(...names, 'other'), anything, { maxKeys: 3 }),
    fc.constantFrom(...names, 'ownKeys').map((name) => ({ [THROWS]: name }))
  )
/** Such an object, when it is given. */
function object(value) {
  if (typeof value !== 'object' || value === null) return made(value)
  const fail = () => assert.fail('touched')
  const name = value[THROWS]
  if (name === 'ownKeys') return new Proxy({}, { ownKeys: fail })
  if (name !== undefined) return Object.defineProperty({}, name, { get: fail, enumerable: true })
  for (const [name, inner] of Object.entries(value)) if (typeof inner === 'symbol') value = { ...value, [name]: made(inner) }
  return value
}
/** What is asked for, or nothing and an error that names one of these or what is in an object that has no meaning. */
function works(ask, fields, options) {
  try {
    return ask()
  } catch (error) {
    isNamed(error, Object.hasOwn(Object(options), error.field) ? [error.field] : fields)
    return undefined
  }
}

test('every argument works or is an error that names it', async () => {
  const names = ['series', 'timeout', 'public', 'window', 'by']
  const property = fc.asyncProperty(given(names), anything, anything, async (options, first, second) => {
    const [one, two] = [made(first), made(second)]
    works(() => new Sentinel(object(options)).close(), [...OPTIONS, 'options'], options)
    works(() => shared.report(object(options)), ['query', ...names], options)
    works(() => shared.uptime(object(options)), ['query', ...names], options)
    const view = works(() => shared.admin(object(options)), ['options', ...names], options) ?? shared.admin()
    works(() => view.respond(one, two, one, two), ['method', 'path', 'query'])
    works(() => Sentinel.attach(one), ['handle'])
    await shared.testAlert(one, object(options)).catch((error) => works(() => assert.fail(error), ['sink', 'options', ...names], options))
  })
  await fc.assert(property, { numRuns: 300 })
})

test('an adapter works or is an error that names what it cannot use', () => {
  const others = fc.oneof(fc.constant(shared), anything)
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.keys(ADAPTERS), 'nest'),
      given(['tenant', 'exclude', 'endpoint']),
      given(['prefix', 'public']),
      others,
      (name, options, view, other) => {
        const [adapter, ...before] = name === 'nest' ? [onNest, nest] : [ADAPTERS[name]]
        const sentinel = made(other)
        works(() => adapter.sentinel(...before, sentinel, object(options)), ['sentinel', 'options', 'tenant', 'exclude', 'endpoint'], options)
        works(() => adapter.admin(...before, sentinel, object(view)), ['sentinel', 'options', 'prefix', 'public'], view)
        works(() => adapter.upgrades(sentinel, shared, object(options)), ['server', 'options', 'tenant', 'exclude', 'endpoint'], options)
        works(() => onNest.sentinel(sentinel, shared), ['app'])
      }
    ),
    { numRuns: 500 }
  )
})

for (const [options, name, text] of [
  [{ window: 'soon' }, 'RangeError', 'window: "soon" is not allowed; allowed: seconds, or a number with us, ms, s, m or h'],
  [{ window: 1 }, 'RangeError', 'window: 1 s is not allowed; allowed: 30 s to 24 h'],
  [{ window: [] }, 'TypeError', "window: an object is not allowed; allowed: seconds, or text such as '10m' or '90s'"],
  [{ budget: '1 byte' }, 'RangeError', 'budget: "1 byte" is not allowed; allowed: bytes, or a number with KiB, MiB, GiB, kB, MB or GB'],
  [{ places: 1.5 }, 'RangeError', 'places: 1.5 is not allowed; allowed: a whole number'],
  [{ maxEndpoints: 0 }, 'RangeError', 'maxEndpoints: 0 is not allowed; allowed: 1 to 4000'],
  [{ stripes: 3 }, 'RangeError', 'stripes: 3 is not allowed; allowed: 1 to 64, a power of two'],
  [{ adminToken: 'short' }, 'RangeError', 'adminToken: 5 characters is not allowed; allowed: 8 to 1024 visible ASCII characters'],
  [{ adminToken: 12345678 }, 'TypeError', 'adminToken: an object is not allowed; allowed: text'],
  [{ windows: 1 }, 'TypeError', `windows: 1 is not allowed; allowed: one of ${OPTIONS.join(', ')}`],
  ['10m', 'TypeError', 'options: "10m" is not allowed; allowed: an object']
]) {
  test(`an error says what would do: ${text.slice(0, 40)}`, () => {
    assert.throws(() => new Sentinel(options), { name, message: text })
  })
}

test('a handle is one that was given, and not one near it', () => {
  for (const near of [shared.handle + 0.5, shared.handle + 2 ** 32, -1, NaN]) {
    assert.throws(() => Sentinel.attach(near), { name: 'RangeError', field: 'handle' })
  }
  const before = shared.stats().accepted
  const other = Sentinel.attach(shared.handle)
  shared.record('acme', '/', 200, 1)
  shared.flush()
  assert.equal(other.stats().accepted, before + 1)
})

test('a batch is handed over by its timer', async () => {
  const s = new Sentinel()
  const other = Sentinel.attach(s.handle)
  s.record('acme', '/', 200, 1)
  assert.equal(other.stats().accepted, 0)
  for (const until = Date.now() + 60_000; other.stats().accepted === 0; ) {
    assert.ok(Date.now() < until)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
})

test('adapters name what they cannot use', () => {
  for (const [given, name, field] of [
    [[{}], 'TypeError', 'sentinel'],
    [[shared, { tenant: 'x tenant' }], 'RangeError', 'tenant'],
    [[shared, { tenant: 7 }], 'TypeError', 'tenant'],
    [[shared, { exclude: 7 }], 'TypeError', 'exclude'],
    [[shared, { exclude: [7] }], 'TypeError', 'exclude'],
    [[shared, { endpoint: '/x' }], 'TypeError', 'endpoint'],
    [[shared, { excludes: [] }], 'TypeError', 'excludes']
  ]) {
    assert.throws(() => onExpress.sentinel(...given), { name, field })
  }
})

test('the environment is read and options go first', (t) => {
  process.env.SENTINEL_WINDOW = '5m'
  process.env.SENTINEL_ADMIN_TOKEN = 'correct-horse-battery'
  t.after(() => {
    delete process.env.SENTINEL_WINDOW
    delete process.env.SENTINEL_ADMIN_TOKEN
    delete process.env.SENTINEL_SLOT
  })
  const s = new Sentinel()
  assert.equal(s.report().windowMs, 300_000)
  assert.equal(s.admin().respond('GET', '/report', '', 'Bearer correct-horse-battery').status, 200)
  assert.equal(new Sentinel({ window: '20m' }).report().windowMs, 1_200_000)
  process.env.SENTINEL_SLOT = 'x'
  assert.throws(() => new Sentinel(), { name: 'RangeError', field: 'SENTINEL_SLOT' })
})

function tenants(...ids) {
  const s = new Sentinel()
  for (const id of ids) s.record(id, '/', 200, 1)
  const rows = s.report({ limit: 100 }).tenants.map(({ tenantId, requests }) => [tenantId, requests])
  return [Object.fromEntries(rows), holds(s.stats()).adapterFailures]
}

test('values that are tenant ids', () => {
  assert.deepEqual(tenants('acme', Buffer.from('acme'), new Uint8Array([97, 99, 109, 101])), [{ acme: 3 }, 0])
  assert.deepEqual(tenants(42, '42', -1, 2n ** 70n, 2 ** 70), [{ 42: 2, '-1': 1, [2n ** 70n]: 2 }, 0])
  assert.deepEqual(tenants('\ud800', Buffer.from('eda080', 'hex')), [{ '\\xed\\xa0\\x80': 2 }, 0])
  assert.deepEqual(tenants('\ud83d\ude00', Buffer.from('😀')), [{ '😀': 2 }, 0])
  assert.deepEqual(tenants('é', 'ж', '漢', Buffer.from('漢')), [{ é: 1, ж: 1, 漢: 2 }, 0])
  assert.deepEqual(tenants(null, undefined, '', Buffer.alloc(0)), [{ unattributed: 4 }, 0])
  assert.deepEqual(tenants(true, 1.5, NaN, {}, ['acme'], Symbol('acme')), [{ unattributed: 6 }, 6])
  // Cut alike, whether they go in a batch or alone.
  const long = 'ж'.repeat(200)
  assert.deepEqual(Object.values(tenants(long, Buffer.from(long), long.repeat(10), Buffer.from(long.repeat(10)))[0]), [2, 2])
})

for (const [status, counts] of [
  [200, [1, 0, 0]],
  [600, [0, 1, 0]],
  [-1, [0, 1, 0]],
  [1e300, [0, 1, 0]],
  [200.5, [0, 1, 0]],
  ['200', [0, 1, 1]],
  [null, [0, 1, 1]],
  [{}, [0, 1, 1]]
]) {
  test(`as a status, ${String(status)}`, () => {
    const s = new Sentinel()
    s.record('acme', '/', status, 1)
    const stats = holds(s.stats())
    assert.deepEqual([stats.accepted, stats.dropped.status, stats.adapterFailures], counts)
  })
}

for (const [latency, known, adjusted, failures] of [
  [2, true, 0, 0],
  [2n, true, 0, 0],
  [null, false, 0, 0],
  [undefined, false, 0, 0],
  [NaN, false, 1, 0],
  [-1, false, 1, 0],
  [Infinity, false, 1, 0],
  ['2', false, 1, 1],
  [true, false, 1, 1]
]) {
  test(`as a latency, ${String(latency)}`, () => {
    const s = new Sentinel()
    s.record('acme', '/', 200, latency)
    const stats = holds(s.stats())
    assert.deepEqual([stats.accepted, stats.adjusted.latency, stats.adapterFailures], [1, adjusted, failures])
    const { p50Ms } = s.tenant('acme')
    assert.equal(p50Ms !== null, known)
    assert.ok(p50Ms === null || Math.abs(p50Ms / 2 - 1) < 0.032)
  })
}

test('values that are times', () => {
  const s = new Sentinel()
  const now = Date.now()
  for (const at of [undefined, null, now, BigInt(now), now - 60_000, 1e300, Infinity, -1e300, 'now', true, NaN]) s.record('acme', '/', 200, 1, at)
  const stats = holds(s.stats())
  assert.deepEqual([stats.accepted, stats.dropped.late, stats.adjusted.future, stats.adapterFailures], [10, 1, 2, 3])
})

test('more endpoints than there are numbers, and long ones', () => {
  const s = new Sentinel({ maxEndpoints: 10 })
  for (let i = 0; i < 10_000; i++) s.record('acme', `/${i}`, 200, 1)
  s.record('acme', '/'.repeat(1_000), 200, 1)
  const stats = holds(s.stats())
  assert.deepEqual([stats.accepted, stats.adjusted.endpointOther], [10_001, 9_991])
})

test('a guard that is collected counts as aborted', async () => {
  const { setFlagsFromString } = await import('node:v8')
  const { runInNewContext } = await import('node:vm')
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc')
  const s = new Sentinel()
  ;(() => s.start('acme').endpoint('/v1'))()
  assert.equal(s.tenant('acme').inFlight, 1)
  for (let i = 0; i < 100 && s.report().totals.aborted === 0; i++) {
    gc()
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const { inFlight, endpoints } = s.tenant('acme')
  assert.deepEqual([s.report().totals.aborted, inFlight, endpoints[0].endpoint], [1, 0, '/v1'])
})

test('closed, it counts no more and still answers', () => {
  const s = new Sentinel()
  const request = s.start('acme')
  s.record('acme', '/', 200, 1)
  s.close()
  s.record('acme', '/', 200, 1)
  request.finish('/', 200)
  s.start('acme').finish('/', 200)
  assert.equal(s.stats().offered, 1)
  assert.equal(s.tenant('acme').inFlight, 0)
})

test('ids that wait together stay what each of them is', () => {
  // Next to each other, the halves of a pair would be one character.
  const ids = ['acme', 'café', '\ud83d', '\ude00', '😀', new Uint8Array([0xff, 0x41]), '日本', '\x7f', '\x80', new Uint8Array([0x80]), '', 'é'.repeat(512)]
  for (const mixture of [ids, ids.toReversed()]) {
    const s = new Sentinel()
    mixture.forEach((id, i) => {
      for (let times = 0; times <= i; times++) s.record(id, '/v1/process', 200, 1)
    })
    mixture.forEach((id, i) => assert.equal(s.tenant(id)?.requests, i + 1, String(id)))
  }
})
