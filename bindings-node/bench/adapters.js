// What a request costs below an adapter: an app with it beside one without, in one process, in turn, so that what the machine does
// meanwhile, it does to both. The app gets requests and responses of Node's, over a socket that swallows what is written: parsing and
// the kernel would be most of the time, and all of the noise.
import { IncomingMessage, ServerResponse } from 'node:http'
import { Duplex } from 'node:stream'
import { print } from './pairs.js'

const [name, contender, quick] = process.argv.slice(2)
// Few at a time and often: the machine's speed changes within milliseconds.
const PAIRS = quick ? 20 : 600
const REQUESTS = 25
const CLIENT = '4b2a2f0c-8c2f-4d6e-9a51-0f3c1d2e4b5a'
process.env.NODE_ENV = 'production'
// A peer would call home.
globalThis.fetch = () => Promise.reject(new Error('there is no network here'))

async function express(contender) {
  const { default: framework } = await import('express')
  const app = framework()
  if (contender === 'nothing') app.use((_req, _res, next) => next())
  else if (contender === 'sentinel') {
    const { Sentinel } = await import('tenant-sentinel')
    const { sentinel } = await import('tenant-sentinel/express')
    app.use(sentinel(new Sentinel(), { tenant: 'x-tenant-id' }))
  } else if (contender === 'express-prom-bundle') {
    const { default: bundle } = await import('express-prom-bundle')
    app.use(bundle({ includeMethod: true, includePath: true }))
  } else {
    const { useApitally } = await import('apitally/express')
    useApitally(app, { clientId: CLIENT, env: 'bench' })
  }
  app.get('/items/:item', (req, res) => res.send(req.params.item))
  return (req, res) => app(req, res)
}

async function fastify(contender) {
  const { default: framework } = await import('fastify')
  const app = framework()
  if (contender === 'nothing') app.addHook('onRequest', (_request, _reply, done) => done())
  else if (contender === 'sentinel') {
    const { Sentinel } = await import('tenant-sentinel')
    const { sentinel } = await import('tenant-sentinel/fastify')
    app.register(sentinel(new Sentinel(), { tenant: 'x-tenant-id' }))
  } else if (contender === 'fastify-metrics') {
    const { default: metrics } = await import('fastify-metrics')
    await app.register(metrics.default ?? metrics, { endpoint: '/metrics' })
  } else {
    const { apitallyPlugin } = await import('apitally/fastify')
    await app.register(apitallyPlugin, { clientId: CLIENT, env: 'bench' })
  }
  app.get('/items/:item', (request, reply) => reply.send(request.params.item))
  await app.ready()
  return (req, res) => app.routing(req, res)
}

class Socket extends Duplex {
  remoteAddress = '127.0.0.1'
  encrypted = false
  _read() {}
  _write(_chunk, _encoding, done) {
    done()
  }
  _writev(_chunks, done) {
    done()
  }
  setTimeout() {}
}

// Kept alive, as connections are.
const socket = new Socket()

function one(handle, i) {
  return new Promise((resolve) => {
    const req = new IncomingMessage(socket)
    req.method = 'GET'
    req.url = `/items/${i % 1_000}`
    req.httpVersion = '1.1'
    req.httpVersionMajor = req.httpVersionMinor = 1
    req.headers = { host: 'localhost', 'user-agent': 'bench', accept: '*/*', 'x-tenant-id': `tenant_${i % 1_000}` }
    req.push(null)
    const res = new ServerResponse(req)
    res.assignSocket(socket)
    // As Node's server does it.
    res.on('finish', () => {
      res.detachSocket(socket)
      process.nextTick(() => {
        res.emit('close')
        resolve()
      })
    })
    handle(req, res)
  })
}

let made = 0
/** CPU time of a request, in ns. */
async function run(handle) {
  const before = process.cpuUsage()
  for (let i = 0; i < REQUESTS; i++) {
    await one(handle, made++)
  }
  // Let timers and immediates have their turn, as under load.
  await new Promise(setImmediate)
  const { user, system } = process.cpuUsage(before)
  return ((user + system) * 1_000) / REQUESTS
}

const make = { express, fastify }[name]
const without = await make('nothing')
const within = await make(contender)
for (let i = 0; i < PAIRS / 5; i++) {
  await run(without)
  await run(within)
}
const pairs = []
for (let i = 0; i < PAIRS; i++) {
  // Who is first differs, or the first would pay for what both leave to the garbage collector.
  const [first, second] = i % 2 === 0 ? [without, within] : [within, without]
  const times = [await run(first), await run(second)]
  pairs.push(i % 2 === 0 ? times : times.reverse())
}
print(pairs)
process.exit()
