// Requests that come over no socket, as in an application's own tests, count too.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fastify from 'fastify'
import { Hono } from 'hono'
import { Sentinel } from 'tenant-sentinel'
import { sentinel as onFastify } from 'tenant-sentinel/fastify'
import { sentinel as onHono } from 'tenant-sentinel/hono'
import { until } from './support/client.js'

const options = { tenant: 'x-tenant-id' }
const headers = { 'x-tenant-id': 'acme' }

test('fastify.inject', async () => {
  const s = new Sentinel()
  const app = fastify()
  app.register(onFastify(s, options))
  app.get('/things/:id', (_request, reply) => reply.code(503).send('no'))
  assert.equal((await app.inject({ url: '/things/7', headers })).statusCode, 503)
  await until(() => s.stats().offered === 1, 'one event')
  assert.deepEqual(s.tenant('acme').endpoints, [{ endpoint: '/things/:id', requests: 1, errors: 1 }])
})

test('app.request of Hono', async () => {
  const s = new Sentinel()
  const app = new Hono()
  app.use(onHono(s, options))
  app.get('/things/:id', (c) => c.text('no', 503))
  app.get('/fails', () => {
    throw new Error('a bug in the handler')
  })
  app.onError((_error, c) => c.text('failed', 500))
  assert.equal((await app.request('/things/7', { headers })).status, 503)
  assert.equal((await app.request('/fails', { headers })).status, 500)
  assert.equal((await app.request('/nowhere', { headers })).status, 404)
  const counts = s.tenant('acme').endpoints.map(({ endpoint, errors }) => [endpoint, errors])
  assert.deepEqual(Object.fromEntries(counts), { '/things/:id': 1, '/fails': 1, unmatched: 0 })
})
