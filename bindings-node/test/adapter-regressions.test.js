// What a host must not feel of its adapter, and what adapters once got wrong; over real sockets.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import http from 'node:http'
import http2 from 'node:http2'
import { describe, test } from 'node:test'
import express5 from 'express'
import express4 from 'express4'
import { Hono } from 'hono'
import Fastify from 'fastify'
import Koa from 'koa'
import { Sentinel, setTenant } from 'tenant-sentinel'
import * as onExpress from 'tenant-sentinel/express'
import * as onFastify from 'tenant-sentinel/fastify'
import * as onHono from 'tenant-sentinel/hono'
import * as onHttp from 'tenant-sentinel/http'
import * as onKoa from 'tenant-sentinel/koa'
import { ask, pause, read, send, until } from './support/client.js'

const TOKEN = 'correct-horse-battery'
const make = () => new Sentinel({ errors: '4xx,5xx', adminToken: TOKEN })

/** The port of a server, until the test is over. */
async function listening(t, handler) {
  const server = typeof handler === 'function' ? http.createServer(handler) : handler
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections?.()
    server.close()
  })
  return server.address().port
}

const recorded = (s, count) => until(() => s.stats().offered === count, `${count} events, there are ${s.stats().offered}`)
const endpoints = (s, id = '') => (s.tenant(id)?.endpoints ?? []).map(({ endpoint, requests }) => [endpoint, requests]).sort()
const bodyOf = ({ text }) => text.slice(text.indexOf('\r\n\r\n') + 4)

describe('a rejection that nobody handles', { concurrency: 2 }, () => {
  for (const sentinel of [false, true]) {
    test(`ends the process ${sentinel ? 'with' : 'without'} an adapter`, () => {
      const program = `
        import http from 'node:http'
        import { Sentinel } from 'tenant-sentinel'
        import { sentinel } from 'tenant-sentinel/http'
        const handler = async () => { throw new Error('a bug in the handler') }
        const server = http.createServer(${sentinel} ? sentinel(new Sentinel(), {})(handler) : handler)
        server.listen(0, '127.0.0.1', () => http.get({ port: server.address().port }).on('error', () => {}))
        setTimeout(() => process.exit(0), 3_000)`
      const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
        cwd: import.meta.dirname,
        encoding: 'utf8'
      })
      assert.equal(status, 1, stderr)
      assert.match(stderr, /Error: a bug in the handler/)
    })
  }
})

test('what is no promise is handed on untouched', () => {
  const lazy = {
    // As query builders do it: it works when it is waited for.
    then() {
      throw new Error('nobody waits for this')
    }
  }
  const handler = onHttp.sentinel(make(), {})(() => lazy)
  const req = new http.IncomingMessage(null)
  assert.equal(handler(req, new http.ServerResponse(req)), lazy)
})

describe('a tenant that is never known', { concurrency: 4 }, () => {
  const never = () => new Promise(() => {})
  const isNobodys = async (s, count) => {
    const began = Date.now()
    await recorded(s, count)
    const took = Date.now() - began
    assert.ok(took > 3_000 && took < 15_000, `${took} ms`)
    assert.deepEqual([s.tenant('').requests, s.stats().adapterFailures], [count, count])
    // How long the answer took, and not how long was waited for whose it is.
    assert.ok(s.tenant('').p99Ms < 2_500, `${s.tenant('').p99Ms} ms`)
  }

  test('is told as unattributed, and is in flight no more', async (t) => {
    const s = make()
    const port = await listening(t, onHttp.sentinel(s, { tenant: never })((_req, res) => res.end('ok')))
    for (let i = 0; i < 3; i++) assert.equal((await ask(port, 'GET', '/')).status, 200)
    await pause(200)
    assert.ok(s.report().tenants.every(({ inFlight }) => inFlight === 0))
    await isNobodys(s, 3)
  })
  test('holds up no answer of Hono’s', async () => {
    const s = make()
    const app = new Hono()
    app.use(onHono.sentinel(s, { tenant: never }))
    app.get('/ok', (c) => c.text('ok'))
    const answer = await Promise.race([app.request('/ok'), pause(2_000)])
    assert.equal(answer?.status, 200)
    await isNobodys(s, 1)
  })
  test('keeps no process alive', () => {
    const program = `
      import { Sentinel } from 'tenant-sentinel'
      import { sentinel } from 'tenant-sentinel/hono'
      import { Hono } from 'hono'
      const app = new Hono()
      app.use(sentinel(new Sentinel(), { tenant: () => new Promise(() => {}) }))
      app.get('/ok', (c) => c.text('ok'))
      await app.request('/ok')
      process.on('exit', () => console.log(process.uptime() < 4))`
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { cwd: import.meta.dirname, encoding: 'utf8' })
    assert.equal(stdout, 'true\n')
  })
})

test('an endpoint function that fails costs neither the template nor the tenant', async (t) => {
  const endpoint = () => {
    throw new Error('a bug in the function')
  }
  const s = make()
  const app = new Hono()
  app.use(onHono.sentinel(s, { endpoint, tenant: () => 'acme' }))
  app.get('/things/:id', (c) => c.text('ok'))
  await app.request('/things/7')
  assert.deepEqual([endpoints(s, 'acme'), s.stats().adapterFailures], [[['/things/:id', 1]], 1])
  const koa = new Koa()
  koa.use(onKoa.sentinel(s, { endpoint, tenant: () => 'beta' }))
  koa.use((ctx) => (ctx.body = 'ok'))
  assert.equal((await ask(await listening(t, koa.callback()), 'GET', '/')).status, 200)
  await recorded(s, 2)
  assert.deepEqual([s.tenant('beta')?.requests, s.stats().adapterFailures], [1, 2])
})

test('a response whose request was replaced is answered', async (t) => {
  const s = make()
  const handler = onHttp.sentinel(s, { endpoint: () => '/events' })((req, res) => {
    res.req = Object.create(req)
    res.writeHead(200, { 'content-type': req.url === '/events' ? 'text/event-stream' : 'text/plain' })
    if (req.url === '/events') res.write('data: 1\n\n')
    else res.end('ok')
  })
  const port = await listening(t, handler)
  assert.equal((await ask(port, 'GET', '/')).status, 200)
  await recorded(s, 1)
  const socket = send(port, 'GET', '/events')
  await recorded(s, 2)
  socket.destroy()
})

test('what others put in the place of what Node has still does its work, whenever they do', () => {
  const program = (before, after) => `
    import domain from 'node:domain'
    import http from 'node:http'
    import express from 'express'
    import { Sentinel } from 'tenant-sentinel'
    import { sentinel } from 'tenant-sentinel/express'
    const s = new Sentinel()
    ${before}
    const app = express().use(sentinel(s, {}), (_req, res) => res.end())
    const server = http.createServer(app).listen(0, '127.0.0.1', async () => {
      const ask = () => new Promise((resolve) => http.get({ port: server.address().port, agent: false }, (res) => res.resume().on('close', resolve)))
      await ask()
      ${after}
      await ask()
      while (s.stats().accepted < 2) await new Promise(setImmediate)
      console.log(told, s.stats().adapterFailures)
      process.exit()
    })`
  const put = `let told = 0
    const { emit } = http.ServerResponse.prototype
    const above = Object.getPrototypeOf(http.ServerResponse.prototype)
    above.emit = function () { told += arguments[0] === 'close' && this instanceof http.ServerResponse; return emit.apply(this, arguments) }`
  for (const [before, after, said] of [
    [put, '', '2 0\n'],
    ['let told = 0', `const { emit } = Object.getPrototypeOf(Object.getPrototypeOf(http.ServerResponse.prototype))
      Object.getPrototypeOf(http.ServerResponse.prototype).emit = function () { told += arguments[0] === 'close' && this instanceof http.ServerResponse; return emit.apply(this, arguments) }`, '1 0\n']
  ]) {
    const given = ['--input-type=module', '-e', program(before, after)]
    const { stdout, stderr } = spawnSync(process.execPath, given, { cwd: import.meta.dirname, encoding: 'utf8', timeout: 20_000 })
    assert.equal(stdout, said, stderr)
  }
})

test('the status is the one that goes out, whoever has a hand in it', async (t) => {
  const s = make()
  const handler = onHttp.sentinel(s, {})((_req, res) => {
    res.statusCode = 500
    res.end()
  })
  const port = await listening(t, (req, res) => {
    const { writeHead } = res
    res.writeHead = function (_status, ...given) {
      return writeHead.call(this, 203, ...given)
    }
    handler(req, res)
  })
  assert.equal((await ask(port, 'GET', '/')).status, 203)
  await recorded(s, 1)
  assert.equal(s.report().totals.errors, 0)
})

describe('@fastify/websocket', async () => {
  const { default: websocket } = await import('@fastify/websocket')
  const upgrade = { connection: 'upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': Buffer.alloc(16).toString('base64') }
  for (const [target, status] of [['/ws/lobby', 101], ['/ws/refused', 401], ['/ws/early', 403], ['/nowhere', 404]]) {
    test(`counts what a client is told: ${target}, ${status}`, async (t) => {
      const s = make()
      const app = Fastify()
      app.register(onFastify.sentinel(s, { tenant: 'x-tenant-id' }))
      await app.register(websocket)
      const refuse = { early: 'preValidation', refused: 'preHandler' }
      for (const [room, hook] of Object.entries(refuse)) {
        app.addHook(hook, (request, reply, next) => (request.url === `/ws/${room}` ? reply.code(room === 'early' ? 403 : 401).send() : next()))
      }
      app.register(async (app) => app.get('/ws/:room', { websocket: true }, () => {}))
      await app.ready()
      t.after(() => app.close())
      await app.listen({ port: 0, host: '127.0.0.1' })
      const socket = send(app.server.address().port, 'GET', target, { ...upgrade, 'x-tenant-id': 'acme' }, 'upgrade')
      const said = await new Promise((resolve) => socket.once('data', resolve))
      assert.match(String(said), new RegExp(`^HTTP/1.1 ${status} `))
      await until(() => s.stats().accepted === 1, 'an event')
      const { requests, errors } = s.tenant('acme')
      assert.deepEqual([requests, errors], [1, status === 101 ? 0 : 1])
      socket.destroy()
    })
  }
})

test('a status that is set when the head is gone counts nowhere', async (t) => {
  const handler = (_req, res) => {
    res.write('part of it')
    res.statusCode = 500
    res.end()
  }
  const s = make()
  const koa = new Koa().use(onKoa.sentinel(s, {})).use((ctx) => {
    ctx.respond = false
    ctx.status = 200
    handler(ctx.req, ctx.res)
  })
  const apps = [onHttp.sentinel(s, {})(handler), koa.callback(), ...[express4, express5].map((express) => express().use(onExpress.sentinel(s, {}), handler))]
  for (const app of apps) assert.equal((await ask(await listening(t, app), 'GET', '/')).status, 200)
  await recorded(s, apps.length)
  assert.equal(s.report().totals.errors, 0)
})

test('a stream of HTTP/2 counts as it ends, and one of events when it begins', async (t) => {
  const s = make()
  const handler = onHttp.sentinel(s, { tenant: 'x-tenant-id' })((req, res) => {
    if (req.url === '/events') {
      res.setHeader('content-type', 'text/event-stream')
      res.write('data: 1\n\n')
    } else if (req.url === '/part') res.write('chunk')
    else if (req.url === '/bad') res.writeHead(503).end()
    else if (req.url === '/destroyed') res.stream.destroy(new Error('a bug in the handler'))
    else if (req.url !== '/slow') res.end('ok')
  })
  const server = http2.createServer(handler)
  server.on('stream', (stream) => stream.on('error', () => {}))
  const port = await listening(t, server)
  const session = http2.connect(`http://127.0.0.1:${port}`)
  session.on('error', () => {})
  t.after(() => session.destroy())
  let count = 0
  let chunks = 0
  const send = (path) => {
    const stream = session.request({ ':path': path, 'x-tenant-id': path.slice(1) })
    stream.on('error', () => {})
    stream.on('data', () => chunks++)
    stream.end()
    return stream
  }
  const counted = (id) => {
    const { requests, errors } = s.tenant(id)
    return [requests, errors, s.report().totals.aborted]
  }
  for (const [path, aborts, counts] of [
    ['/ok', false, [1, 0, 0]],
    ['/bad', false, [1, 1, 0]],
    ['/destroyed', false, [1, 1, 0]],
    ['/slow', true, [1, 0, 1]],
    ['/part', true, [1, 0, 2]]
  ]) {
    chunks = 0
    const stream = send(path)
    if (aborts) {
      await until(() => s.tenant(path.slice(1))?.inFlight === 1, 'a request in flight')
      await until(() => path !== '/part' || chunks > 0, 'a chunk')
      stream.close(http2.constants.NGHTTP2_CANCEL)
    }
    await recorded(s, ++count)
    assert.deepEqual(counted(path.slice(1)), counts, path)
  }
  const events = send('/events')
  await recorded(s, ++count) // while it is still open
  events.close(http2.constants.NGHTTP2_CANCEL)
  await pause(50)
  assert.deepEqual(counted('events'), [1, 0, 2])
  // The whole connection.
  send('/slow')
  await until(() => s.tenant('slow').inFlight === 1, 'a request in flight')
  session.destroy()
  await recorded(s, ++count)
  assert.deepEqual(counted('slow'), [2, 0, 3])
})

describe('the admin view below any prefix', () => {
  const headers = { authorization: `Bearer ${TOKEN}` }
  const answers = async (port, mount) => {
    for (const [path, text] of [
      ['/', '<title>'],
      ['/report?limit=1', '"tenants"'],
      ['/tenants/ac%6De', '"acme"']
    ]) {
      const answer = await ask(port, 'GET', mount + path, headers)
      assert.deepEqual([mount + path, answer.status], [mount + path, 200])
      assert.ok(answer.text.includes(text))
    }
  }
  const seen = () => {
    const s = make()
    s.record('acme', '/', 200, 1)
    return s
  }
  test('of Fastify’s plugins', async (t) => {
    const app = Fastify()
    app.register(async (below) => below.register(onFastify.admin(seen()), { prefix: '/sentinel' }), { prefix: '/ops' })
    app.register(onFastify.admin(seen()), { prefix: '/slash/' })
    app.register(onFastify.admin(seen()), { prefix: '/of/:name/sentinel' })
    await app.ready()
    const port = await listening(t, app.server)
    for (const mount of ['/ops/sentinel', '/slash', '/of/acme/sentinel']) await answers(port, mount)
    assert.equal((await ask(port, 'GET', '/ops/sentinel', headers)).status, 200)
  })
  test('with a slash at its end', async (t) => {
    const koa = new Koa()
    koa.use(onKoa.admin(seen(), { prefix: '/slash/' }))
    const view = onHttp.admin(seen(), { prefix: '/slash/' })
    for (const handler of [koa.callback(), (req, res) => view(req, res) || res.writeHead(404).end()]) {
      const port = await listening(t, handler)
      await answers(port, '/slash')
      assert.equal((await ask(port, 'GET', '/slash', headers)).status, 200)
    }
    const hono = new Hono()
    hono.all('/slash/*', onHono.admin(seen(), { prefix: '/slash/' }))
    for (const path of ['', '/', '/report']) assert.equal((await hono.request(`/slash${path}`, { headers })).status, 200)
  })
})

test('a handshake is refused with the bytes that the host sends, whatever it says with them', async (t) => {
  const s = make()
  const answer = 'HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n'
  const server = http.createServer()
  let called = 0
  const ways = {
    '/encoding': (socket) => socket.end(answer, 'latin1', () => called++),
    '/callback': (socket) => socket.end(answer, () => called++),
    '/bytes': (socket) => socket.end(Buffer.from(answer)),
    '/apart': (socket) => socket.write(answer, 'latin1', () => socket.end(() => called++))
  }
  server.on('upgrade', (req, socket) => ways[req.url](socket))
  onHttp.upgrades(server, s, { endpoint: () => '/socket' })
  const port = await listening(t, server)
  for (const target of Object.keys(ways)) {
    assert.equal((await ask(port, 'GET', target, { connection: 'upgrade', upgrade: 'websocket' })).text, answer, target)
  }
  await recorded(s, 4)
  assert.deepEqual([endpoints(s), s.report().totals.errors, called], [[['/socket', 4]], 4, 3])
})

test('a template that was cut out of a large text does not keep that alive', () => {
  const program = `
    import { Sentinel } from 'tenant-sentinel'
    const s = new Sentinel()
    gc()
    const before = process.memoryUsage().heapUsed
    for (let i = 0; i < 200; i++) {
      const large = '/endpoint-number-' + String(i).padStart(6, '0') + 'x'.repeat(1 << 18)
      s.record('acme', large.slice(0, 23), 200, 1)
    }
    s.flush()
    gc()
    console.log(process.memoryUsage().heapUsed - before)
    console.log(s.report().tenants[0].requests)`
  const given = ['--expose-gc', '--input-type=module', '-e', program]
  const [grown, requests] = spawnSync(process.execPath, given, { cwd: import.meta.dirname, encoding: 'utf8' }).stdout.split('\n').map(Number)
  assert.equal(requests, 200)
  assert.ok(grown < 4 << 20, `${grown} bytes`)
})

test('a response of another kind than those of node:http is listened to', async (t) => {
  const s = make()
  const app = express5()
  app.use(onExpress.sentinel(s, {}))
  app.get('/', (_req, res) => {
    res.statusCode = 201
    res.end()
  })
  // As http2-express-bridge does it: prototypes for each version of HTTP.
  const kinds = [http2.Http2ServerRequest, http2.Http2ServerResponse].map(({ prototype }, i) => {
    const own = Object.getOwnPropertyDescriptors([express5.request, express5.response][i])
    return Object.create(prototype, { ...own, app: { value: app } })
  })
  const server = http2.createServer((req, res) => {
    Object.assign(req, { res })
    for (const [i, one] of [req, res].entries()) Object.setPrototypeOf(one, kinds[i])
    app.router.handle(req, res, assert.fail)
  })
  const session = http2.connect(`http://127.0.0.1:${await listening(t, server)}`)
  const stream = session.request({ ':path': '/' })
  const { ':status': status } = await new Promise((resolve) => stream.on('response', resolve).resume())
  assert.equal(status, 201)
  await until(() => s.stats().accepted === 1, 'an event')
  session.destroy()
})

for (const [name, express] of [
  ['4', express4],
  ['5', express5]
]) {
  describe(`express ${name}`, () => {
    test('what was made of a request has what the request has', async (t) => {
      const found = []
      for (const sentinel of [false, true]) {
        const app = express()
        app.use(sentinel ? onExpress.sentinel(make(), {}) : (_req, _res, next) => next())
        const inner = express()
        inner.use((_req, _res, next) => next())
        app.get('/made/:id', (req, res) => {
          const made = [req, Object.create(req), new Proxy(req, {}), { ...req }]
          res.json([made.map(({ params, route }) => [params, route?.path]), Object.keys(req)])
        })
        app.get('/called/:id', (req, res, next) => inner(req, res, (error) => (error ? next(error) : res.json(req.params ?? 'none'))))
        const port = await listening(t, app)
        const bodies = []
        for (const target of ['/made/7', '/made/7', '/called/7', '/called/7']) bodies.push(bodyOf(await ask(port, 'GET', target)))
        found.push(bodies)
      }
      assert.deepEqual(found[1], found[0])
      assert.match(found[1][0], /^\[\[(\[\{"id":"7"\},"\/made\/:id"\],?){4}\]/)
    })

    test('its end is seen, whatever kind of response it has become', async (t) => {
      const s = make()
      const inner = express()
      inner.use(onExpress.sentinel(s, { tenant: 'x-tenant-id' }))
      inner.get('/here', (_req, res) => res.status(201).end())
      const app = express()
      // Express gives it another prototype when it leaves the inner app.
      app.use('/inner', inner)
      app.use('/inner/there', (_req, res) => res.status(202).end())
      app.use('/inner/events', (_req, res) => res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders())
      app.use('/inner/foreign', (_req, res) => Object.setPrototypeOf(res, http.ServerResponse.prototype).writeHead(503).end())
      const port = await listening(t, http.createServer({ keepAliveTimeout: 60_000 }, app))
      let count = 0
      for (const [target, status] of [['here', 201], ['there', 202], ['there', 202], ['foreign', 503], ['nowhere', 404]]) {
        assert.equal((await ask(port, 'GET', `/inner/${target}`, { 'x-tenant-id': target })).status, status)
        await recorded(s, ++count)
      }
      // Over a connection that stays.
      const sockets = ['foreign', 'events'].map((target) => send(port, 'GET', `/inner/${target}`, { 'x-tenant-id': target }, 'keep-alive'))
      await recorded(s, (count += 2))
      for (const socket of sockets) socket.destroy()
      const counted = Object.fromEntries(s.report({ by: 'load' }).tenants.map(({ tenantId, requests, errors }) => [tenantId, [requests, errors]]))
      assert.deepEqual(counted, { here: [1, 0], there: [2, 0], foreign: [2, 2], nowhere: [1, 1], events: [1, 0] })
    })

    test('an app of the other version that is called and not mounted', async (t) => {
      const s = make()
      const inner = (express === express4 ? express5 : express4)()
      inner.get('/events', (_req, res) => res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders())
      inner.get('/u/:id', (_req, res) => res.status(201).end())
      const app = express()
      app.use(onExpress.sentinel(s, {}))
      app.use('/in', (req, res, next) => inner(req, res, next))
      const port = await listening(t, app)
      assert.equal((await ask(port, 'GET', '/in/u/7')).status, 201)
      // At once: what was in flight when a sentinel is closed is lost, what has ended is not.
      s.close()
      assert.deepEqual(s.report().totals.requests, 1)
      const other = make()
      const outer = express().use(onExpress.sentinel(other, {}), inner)
      const socket = send(await listening(t, outer), 'GET', '/events')
      await recorded(other, 1)
      assert.equal(other.report().totals.requests, 1)
      socket.destroy()
    })

    test('a client that leaves in the middle of a large answer has not got it', async (t) => {
      const s = make()
      const app = express()
      app.use(onExpress.sentinel(s, {}))
      app.get('/', (_req, res) => res.end(Buffer.alloc(60 << 20)))
      app.get('/enough', (req, res) => {
        res.end('enough of it')
        req.destroy()
      })
      const port = await listening(t, app)
      const socket = send(port, 'GET', '/')
      socket.once('data', () => socket.pause().resetAndDestroy())
      await until(() => s.stats().accepted === 1, 'an event')
      assert.equal(s.report().totals.aborted, 1)
      // What was answered and broken off then is answered.
      await ask(port, 'GET', '/enough')
      await until(() => s.stats().accepted === 2, 'an event')
      assert.deepEqual([s.report().totals.errors, s.report().totals.aborted], [0, 1])
    })

    test('an app beside the one that is watched is left alone', async (t) => {
      const s = make()
      await ask(await listening(t, express().use(onExpress.sentinel(s, {}), (_req, res) => res.end())), 'GET', '/')
      const bare = express()
      let left
      const over = new Promise((resolve) => (left = resolve))
      bare.get('/', (_req, res) => res.on('close', left).end(Buffer.alloc(60 << 20)))
      const socket = send(await listening(t, bare), 'GET', '/')
      socket.once('data', () => socket.pause().resetAndDestroy())
      await over
      assert.deepEqual([s.stats().offered, s.stats().adapterFailures], [1, 0])
    })

    test('what listens for the end may still say whose it was', async (t) => {
      const s = make()
      const app = express()
      app.use((req, res, next) => {
        res.on('close', () => setTenant(req, 'acme'))
        next()
      })
      app.use(onExpress.sentinel(s, {}))
      app.get('/:how', (req, res) => {
        const how = { raw: { raw: req }, req: { req }, env: { env: { incoming: req } } }[req.params.how]
        if (how !== undefined) setTenant(how, req.params.how)
        res.removeAllListeners('close').end()
      })
      app.use((_req, res) => res.end())
      const port = await listening(t, app)
      for (const target of ['/', '/raw', '/req', '/env']) await ask(port, 'GET', target)
      await until(() => s.stats().accepted === 4, 'four events')
      assert.deepEqual(s.report({ by: 'load' }).tenants.map(({ tenantId }) => tenantId).sort(), ['acme', 'env', 'raw', 'req'])
    })

    test('a route whose parameter fails is the one that counts, whichever failed before', async (t) => {
      const s = make()
      const app = express()
      app.use(onExpress.sentinel(s, {}))
      app.param('other', (_req, _res, next) => next(Object.assign(new Error('no such'), { status: 400 })))
      app.get('/x/:first', (_req, _res, next) => next(new Error('failed')))
      app.use((_error, _req, _res, next) => next())
      app.get('/x/:other', (_req, res) => res.end())
      app.use((_error, _req, res, _next) => res.status(400).end())
      assert.equal((await ask(await listening(t, app), 'GET', '/x/1')).status, 400)
      await recorded(s, 1)
      assert.deepEqual(endpoints(s), [['/x/:other', 1]])
    })

    test('a response behind a proxy is listened to', async (t) => {
      const s = make()
      const app = express()
      app.use(onExpress.sentinel(s, {}))
      app.get('/', (_req, res) => res.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n'))
      const behind = { get: (res, name) => (typeof res[name] === 'function' ? res[name].bind(res) : res[name]) }
      const socket = send(await listening(t, (req, res) => app(req, new Proxy(res, behind))), 'GET', '/')
      await until(() => s.stats().accepted === 1, 'an event')
      socket.destroy()
    })

    test('what has an app that is none of Express is watched without templates', async (t) => {
      const s = make()
      const adapter = onExpress.sentinel(s, {})
      const handler = (req, res) => {
        req.app = { router: { stack: [null] } }
        Object.setPrototypeOf(res, Object.create(http.ServerResponse.prototype))
        adapter(req, res, () => res.end())
      }
      const port = await listening(t, handler)
      for (let i = 0; i < 2; i++) await ask(port, 'GET', '/')
      await until(() => s.stats().accepted === 2, 'two events')
    })

    test('an app whose responses tell in their own way keeps that', async (t) => {
      const s = make()
      const app = express()
      const told = []
      app.response.emit = function (event, ...given) {
        told.push(event)
        return Object.getPrototypeOf(app.response).emit.call(this, event, ...given)
      }
      app.use(onExpress.sentinel(s, {}))
      app.get('/', (_req, res) => res.once('close', () => told.push('listener')).end())
      assert.equal((await ask(await listening(t, app), 'GET', '/')).status, 200)
      await recorded(s, 1)
      assert.deepEqual(told.slice(-2), ['close', 'listener'])
    })

    test('setTenant finds the request of what was made of it', async (t) => {
      const s = make()
      const app = express()
      app.use(onExpress.sentinel(s, {}))
      app.get('/:id', (req, res) => {
        setTenant(req.params.id === 'made' ? Object.create(req) : new Proxy(req, {}), req.params.id)
        res.end()
      })
      const port = await listening(t, app)
      for (const id of ['made', 'proxied']) await ask(port, 'GET', `/${id}`)
      await recorded(s, 2)
      for (const id of ['made', 'proxied']) assert.deepEqual(endpoints(s, id), [['/:id', 1]])
    })

    test('mounts are templates, whatever is in their parameters', async (t) => {
      const s = make()
      const app = express()
      app.use(onExpress.sentinel(s, {}))
      const router = express.Router({ mergeParams: true })
      router.get('/list', (_req, res) => res.end())
      router.use('/x/:tenant', express.Router().get('/', (_req, res) => res.end()))
      app.use('/v:major/users', router)
      app.use('/t/:tenant/api', router)
      app.use('/org-:org', router)
      app.use('/t', (_req, _res, next) => next())
      app.use('/:a/:b', router)
      const port = await listening(t, app)
      for (const [template, ...targets] of [
        ['/v:major/users/list', '/v2/users/list', '/v3/users/list'],
        ['/t/:tenant/api/list', '/t/acme/api/list', '/t/api/api/list', '/t/t/api/list', '/t/a%20b/api/list'],
        ['/org-:org/list', '/org-acme/list', '/org-beta/list'],
        ['/org-:org/x/:tenant', '/org-x/x/7'],
        ['/:a/:b/list', '/t/acme/list']
      ]) {
        for (const target of targets) {
          const before = s.stats().offered
          assert.equal((await ask(port, 'GET', target)).status, 200, target)
          await recorded(s, before + 1)
        }
        assert.deepEqual(endpoints(s).find(([endpoint]) => endpoint === template), [template, targets.length], JSON.stringify(endpoints(s)))
      }
    })

    test('an adapter inside of a router knows what is in front of that, from the first request', async (t) => {
      // Express is seen from its first request on: a process that has not seen any.
      const program = `
        import http from 'node:http'
        import { setTimeout } from 'node:timers/promises'
        import express from '${name === '4' ? 'express4' : 'express'}'
        import { Sentinel } from 'tenant-sentinel'
        import { sentinel } from 'tenant-sentinel/express'
        const s = new Sentinel()
        const router = express.Router()
        router.use(sentinel(s, {}))
        router.get('/users/:id', (req, res) => res.end())
        const app = express()
        app.use('/api-:v/t/:tenant', express.Router().use('/below', router))
        const server = http.createServer(app).listen(0, '127.0.0.1', async () => {
          const found = []
          for (const tenant of ['acme', 'beta', 't']) {
            await (await fetch('http://127.0.0.1:' + server.address().port + '/api-2/t/' + tenant + '/below/users/7')).text()
            await setTimeout(30)
            found.push(s.tenant('').endpoints.map(({ endpoint }) => endpoint))
          }
          console.log(JSON.stringify([found, s.stats().adapterFailures]))
          process.exit(0)
        })`
      const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { cwd: import.meta.dirname, encoding: 'utf8' })
      const only = ['/api-:v/t/:tenant/below/users/:id']
      assert.equal(stdout, `${JSON.stringify([[only, only, only], 0])}\n`, stderr)
    })

    test('a route that is left leaves no template behind, and one that fails does', async (t) => {
      const s = make()
      const app = express()
      app.use(onExpress.sentinel(s, { tenant: 'x-tenant-id' }))
      const router = express.Router()
      router.param('id', (_req, _res, next, id) => next(id === 'bad' ? Object.assign(new Error('bad'), { status: 422 }) : undefined))
      router.get('/things/:id', (_req, _res, next) => next('route'))
      router.get('/out/:id', (_req, _res, next) => next('router'))
      router.get('/fails', (_req, _res, next) => next(new Error('a bug in the handler')))
      app.use('/t/:tenant', router)
      app.use((error, _req, res, _next) => res.status(error.status ?? 500).end())
      const port = await listening(t, app)
      let count = 0
      for (const [target, status, template] of [
        ['/t/a/things/7', 404, 'unmatched'],
        ['/t/a/out/7', 404, 'unmatched'],
        ['/t/a/things/bad', 422, '/t/:tenant/things/:id'],
        ['/t/a/fails', 500, '/t/:tenant/fails']
      ]) {
        assert.equal((await ask(port, 'GET', target, { 'x-tenant-id': target })).status, status)
        await recorded(s, ++count)
        assert.deepEqual(endpoints(s, target), [[template, 1]])
      }
      assert.equal(s.stats().adapterFailures, 0)
    })
  })
}
