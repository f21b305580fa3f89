// Typical requests of services over real sockets on each framework, and the counts that they leave.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import express5 from 'express'
import express4 from 'express4'
import { WebSocket, WebSocketServer } from 'ws'
import { Sentinel, setTenant } from 'tenant-sentinel'
import { upgrades } from 'tenant-sentinel/http'
import { express } from './apps/express.js'
import { app as fastify } from './apps/fastify.js'
import { app as hono } from './apps/hono.js'
import { app as http } from './apps/http.js'
import { app as koa } from './apps/koa.js'
import { nest } from './apps/nest.js'
import { ask, pause, read, send, until } from './support/client.js'

const FRAMEWORKS = {
  'express 4': express(express4, false),
  'express 5': express(express5, true),
  fastify,
  koa,
  hono,
  http,
  'nest on express': nest('express'),
  'nest on fastify': nest('fastify')
}
const TOKEN = 'correct-horse-battery'
const BY_HEADER = { tenant: 'x-tenant-id' }

/** A service of this framework, until the test is over. */
async function serve(t, framework, options = BY_HEADER, errors = '5xx', adminToken = TOKEN) {
  const s = new Sentinel({ errors, adminToken })
  const server = await framework.serve(s, options)
  // As many may come at once as any test sends: of what finds no place in the queue, the system may let some go.
  await new Promise((resolve) => server.listen({ port: 0, host: '127.0.0.1', backlog: 2_048 }, resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { s, server, port: server.address().port }
}

const recorded = (s, count) => until(() => s.stats().offered === count, `${count} events, there are ${s.stats().offered}`)

/** The counts of a tenant with one endpoint: template, requests and errors. */
function only(s, id = 'acme') {
  const { endpoints } = s.tenant(id) ?? { endpoints: [] }
  assert.equal(endpoints.length, 1, JSON.stringify(endpoints))
  const [{ endpoint, requests, errors }] = endpoints
  return [endpoint, requests, errors]
}

for (const [name, framework] of Object.entries(FRAMEWORKS)) {
  describe(name, { concurrency: 4 }, () => {
    const notAllowed = framework.notAllowed ?? 404
    const cases = [
      ['GET', '/ok', 200, '/ok'],
      ['GET', '/ok?page=2', 200, '/ok'],
      ['GET', '/things/7', 404, '/things/:id'],
      ['GET', '/nowhere', 404, 'unmatched'],
      ['GET', '/post', notAllowed, framework.post405 ?? 'unmatched'],
      ['GET', '/moved', 307, '/moved'],
      ['GET', '/numbers/seven', 400, '/numbers/:number'],
      ['GET', '/fails', 500, '/fails'],
      ['GET', '/handled', 503, '/handled'],
      ['GET', '/api/v2/users/7', 200, '/api/:version/users/:id'],
      ['GET', '/api/v2/nowhere', 404, 'unmatched'],
      ['HEAD', '/ok', 200, '/ok'],
      ['HEAD', '/nowhere', 404, 'unmatched'],
      ['POST', '/post', framework.post ?? 200, '/post'],
      ...Object.entries(framework.templates).map(([target, template]) => [
        'GET',
        target,
        target === '/later' ? 500 : 200,
        template,
        target === '/gives-up' ? 1 : undefined
      ])
    ]
    for (const [method, target, status, template, errors = status >= 400 ? 1 : 0] of cases) {
      test(`${method} ${target} counts once, as ${status} of ${template}`, async (t) => {
        const { s, port } = await serve(t, framework, BY_HEADER, '4xx,5xx')
        const answer = await ask(port, method, target, { 'x-tenant-id': 'acme' })
        assert.equal(answer.status, status)
        await recorded(s, 1)
        assert.deepEqual(only(s), [template, 1, errors])
        assert.equal(s.report().totals.aborted, 0)
        assert.equal(s.stats().adapterFailures, 0)
      })
    }

    if (name.startsWith('express')) {
      test('a handler that passes on leaves no template behind', async (t) => {
        const { s, port } = await serve(t, framework)
        assert.equal((await ask(port, 'GET', '/passes', { 'x-tenant-id': 'acme' })).status, 404)
        await recorded(s, 1)
        assert.equal(only(s)[0], 'unmatched')
      })
      test('the prefix of a mount is there on a 500', async (t) => {
        const { s, port } = await serve(t, framework)
        assert.equal((await ask(port, 'GET', '/api/v2/fails', { 'x-tenant-id': 'acme' })).status, 500)
        await recorded(s, 1)
        assert.deepEqual(only(s), ['/api/:version/fails', 1, 1])
      })
    }

    test('OPTIONS counts once', async (t) => {
      const { s, port } = await serve(t, framework)
      await ask(port, 'OPTIONS', '/ok', { 'x-tenant-id': 'acme' })
      await recorded(s, 1)
    })

    test('a streamed body takes until its last chunk', async (t) => {
      const { s, port } = await serve(t, framework)
      assert.equal((await ask(port, 'GET', '/stream', { 'x-tenant-id': 'acme' })).status, 200)
      await recorded(s, 1)
      const { p50Ms } = s.tenant('acme')
      assert.ok(p50Ms >= 285 && p50Ms < 60_000, `${p50Ms} ms`)
    })

    test('a body that breaks is a server error', async (t) => {
      const { s, port } = await serve(t, framework)
      assert.equal((await ask(port, 'GET', '/breaks', { 'x-tenant-id': 'acme' })).status, 200) // its head had gone out
      await recorded(s, 1)
      assert.deepEqual(only(s), ['/breaks', 1, 1])
    })

    for (const target of ['/slow', '/endless']) {
      test(`a client that goes away from ${target} is aborted`, async (t) => {
        const { s, port } = await serve(t, framework)
        const socket = send(port, 'GET', target, { 'x-tenant-id': 'acme' })
        if (target === '/endless') await new Promise((resolve) => socket.once('data', resolve))
        await until(() => s.tenant('acme')?.inFlight === 1, 'a request in flight')
        socket.destroy()
        await recorded(s, 1)
        const { totals, tenants } = s.report()
        assert.deepEqual([totals.aborted, totals.errors], [1, 0])
        assert.equal(only(s)[0], target)
        assert.equal(tenants[0].inFlight, 0)
        assert.ok(tenants[0].p50Ms < 20_000)
      })
    }

    test('server-sent events count when they begin', async (t) => {
      const { s, port } = await serve(t, framework)
      const socket = send(port, 'GET', '/events', { 'x-tenant-id': 'acme' })
      await recorded(s, 1) // while it is still open
      socket.destroy()
      await pause(50)
      assert.equal(s.stats().offered, 1)
      assert.equal(s.report().totals.aborted, 0)
    })

    test('a WebSocket counts its handshake only', async (t) => {
      const { s, port, server } = await serve(t, framework)
      const sockets = new WebSocketServer({ noServer: true })
      server.on('upgrade', (req, socket, head) => {
        if (req.url === '/refused') socket.end('HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n')
        else sockets.handleUpgrade(req, socket, head, () => {})
      })
      upgrades(server, s, { ...BY_HEADER, endpoint: () => '/socket' })
      const socket = new WebSocket(`ws://127.0.0.1:${port}/socket`, { headers: { 'x-tenant-id': 'acme' } })
      await new Promise((resolve) => socket.once('open', resolve))
      await recorded(s, 1)
      await pause(100)
      socket.terminate()
      await ask(port, 'GET', '/refused', { 'x-tenant-id': 'beta', connection: 'upgrade', upgrade: 'websocket' })
      await recorded(s, 2)
      assert.deepEqual(only(s), ['/socket', 1, 0])
      assert.ok(s.tenant('acme').p99Ms < 20_000)
      assert.equal(s.report().totals.aborted, 0)
    })

    for (const status of [401, 403, 304]) {
      test(`an early answer, ${status}, counts`, async (t) => {
        const { s, port } = await serve(t, framework, BY_HEADER, '4xx,5xx')
        const answer = await ask(port, 'GET', '/things/7', { 'x-tenant-id': 'acme', 'x-early': status })
        assert.equal(answer.status, status)
        await recorded(s, 1)
        assert.deepEqual(only(s), [framework.early ?? 'unmatched', 1, status >= 400 ? 1 : 0])
      })
    }

    test('an excluded route does not count', async (t) => {
      const { s, port } = await serve(t, framework, { ...BY_HEADER, exclude: ['/health', '/things/:id'] })
      for (const target of ['/health', '/things/7', '/ok']) await ask(port, 'GET', target, { 'x-tenant-id': 'acme' })
      await recorded(s, 1)
      assert.equal(only(s)[0], '/ok')
    })

    /** Asks once, and says whose it was. */
    const whose = async (t, options, headers, target = '/ok') => {
      const { s, port } = await serve(t, framework, options)
      await ask(port, 'GET', target, headers)
      await recorded(s, 1)
      return [s.report().tenants[0].tenantId, s.stats().adapterFailures]
    }
    const user = (subject) => subject.user ?? subject.state?.user ?? subject.get?.('user')

    test('the tenant by header', async (t) => {
      const long = 'x'.repeat(10_000)
      const hash = createHash('sha256').update(long).digest('hex').slice(0, 32)
      for (const [value, shown] of [
        ['acme', 'acme'],
        [Buffer.from('café').toString('latin1'), 'café'],
        ['\xed\xa0\x80', '\\xed\\xa0\\x80'], // a lone surrogate
        ['a/b%2Fc', 'a/b%2Fc'],
        ['', 'unattributed'],
        [long, 'x'.repeat(96) + hash]
      ]) {
        assert.deepEqual(await whose(t, BY_HEADER, { 'x-tenant-id': value }), [shown, 0])
      }
      assert.deepEqual(await whose(t, BY_HEADER, {}), ['unattributed', 0])
    })

    test('the tenant by functions, after authentication', async (t) => {
      assert.deepEqual(await whose(t, { tenant: user }, { 'x-user': 'acme' }), ['acme', 0])
      const slowly = async (subject) => {
        await pause(30)
        return user(subject)
      }
      assert.deepEqual(await whose(t, { tenant: slowly }, { 'x-user': 'acme' }), ['acme', 0])
      assert.deepEqual(await whose(t, { tenant: () => '\ud800' }, {}), ['\\xed\\xa0\\x80', 0])
      assert.deepEqual(await whose(t, { tenant: () => 7 }, {}), ['7', 0])
      assert.deepEqual(await whose(t, { tenant: () => undefined }, {}), ['unattributed', 0])
    })

    test('the tenant set in the handler goes first', async (t) => {
      assert.deepEqual(await whose(t, BY_HEADER, { 'x-tenant-id': 'liar' }, '/set'), ['acme', 0])
      assert.deepEqual(await whose(t, { tenant: () => 'liar' }, {}, '/set'), ['acme', 0])
      assert.deepEqual(await whose(t, {}, {}, '/set'), ['acme', 0])
      setTenant(null, 'acme')
      setTenant({}, 'acme')
    })

    test('a function that fails is counted and the request goes on', async (t) => {
      const fails = () => {
        throw new Error('a bug in the function')
      }
      for (const tenant of [fails, async () => fails(), () => ({})]) {
        assert.deepEqual(await whose(t, { tenant }, {}), ['unattributed', 1])
      }
    })

    test('a header of a megabyte is the server’s to refuse', async (t) => {
      const { s, port } = await serve(t, framework)
      const { status } = await ask(port, 'GET', '/ok', { 'x-tenant-id': 'x'.repeat(1 << 20) })
      assert.ok(status === 431 || status === 400 || status === 0, `${status}`)
      await ask(port, 'GET', '/ok', { 'x-tenant-id': 'acme' })
      await until(() => s.tenant('acme')?.requests === 1, 'the next one')
    })

    test('a thousand at once over fifty tenants are counted exactly', async (t) => {
      const { s, port } = await serve(t, framework)
      const targets = ['/ok', '/stream', '/handled', '/things/7']
      const one = (i) => ask(port, 'GET', targets[Math.floor(i / 50) % 4], { 'x-tenant-id': `tenant-${i % 50}` })
      const answers = await Promise.all(Array.from({ length: 1_000 }, (_, i) => one(i)))
      assert.equal(answers.filter(({ status }) => status === 0).length, 0, 'requests without an answer')
      await recorded(s, 1_000)
      for (let i = 0; i < 50; i++) {
        const { requests, errors, endpoints } = s.tenant(`tenant-${i}`)
        assert.deepEqual([requests, errors, endpoints.length], [20, 5, 4])
        assert.ok(endpoints.every((counts) => counts.requests === 5))
      }
    })

    test('requests on one connection each count', async (t) => {
      const { s, port } = await serve(t, framework)
      const socket = send(port, 'GET', '/ok', { 'x-tenant-id': 'acme' }, 'keep-alive')
      for (let i = 1; i < 10; i++) {
        await new Promise((resolve) => socket.once('data', resolve))
        await recorded(s, i)
        socket.write('GET /ok HTTP/1.1\r\nhost: localhost\r\nx-tenant-id: acme\r\n\r\n')
      }
      await recorded(s, 10)
      assert.deepEqual(only(s), ['/ok', 10, 0])
      socket.destroy()
      await pause(20)
      assert.equal(s.stats().offered, 10)
    })

    test('the admin view shows nothing without a configured token', async (t) => {
      const { s, port } = await serve(t, framework, BY_HEADER, '5xx', null)
      for (const headers of [{}, { authorization: 'Bearer ' }, { authorization: `Bearer ${TOKEN}` }]) {
        assert.equal((await ask(port, 'GET', '/sentinel/report', headers)).status, 403)
      }
      assert.equal(s.stats().offered, 0)
    })

    test('the admin view is for who has the token, and does not count', async (t) => {
      const { s, port } = await serve(t, framework)
      await ask(port, 'GET', '/handled', { 'x-tenant-id': 'acme' })
      await recorded(s, 1)
      for (const [authorization, status] of [
        [undefined, 401],
        ['Bearer wrong', 401],
        [`Bearer ${TOKEN}`, 200]
      ]) {
        const headers = authorization === undefined ? {} : { authorization }
        const answer = await ask(port, 'GET', '/sentinel/report?limit=3', headers)
        assert.equal(answer.status, status)
        assert.equal(answer.text.includes('acme'), status === 200)
      }
      const headers = { authorization: `Bearer ${TOKEN}` }
      assert.equal((await ask(port, 'GET', '/sentinel/tenants/ac%6De', headers)).status, 200)
      for (const target of ['/sentinel', '/sentinel/']) {
        const page = await ask(port, 'GET', target)
        assert.equal(page.status, 200)
        assert.ok(page.text.includes('<title>') && /content-security-policy/i.test(page.text) && !page.text.includes('acme'))
      }
      const refused = await ask(port, 'DELETE', '/sentinel/report', headers)
      assert.equal(refused.status, 405)
      assert.match(refused.text, /allow: GET, HEAD/i)
      assert.equal((await ask(port, 'HEAD', '/sentinel/report', headers)).status, 200)
      assert.equal(s.stats().offered, 1)
    })
  })
}
