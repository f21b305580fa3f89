// An adapter that is installed twice counts once; one of another sentinel counts beside it.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { test } from 'node:test'
import express5 from 'express'
import express4 from 'express4'
import fastify from 'fastify'
import Koa from 'koa'
import { Sentinel } from 'tenant-sentinel'
import { sentinel as onExpress } from 'tenant-sentinel/express'
import { sentinel as onFastify } from 'tenant-sentinel/fastify'
import { sentinel as onHttp } from 'tenant-sentinel/http'
import { sentinel as onKoa } from 'tenant-sentinel/koa'
import { ask, until } from './support/client.js'

const OPTIONS = { tenant: 'x-tenant-id' }
const express = (framework) => (sentinels) => {
  const app = framework()
  for (const s of sentinels) app.use(onExpress(s, OPTIONS))
  app.get('/ok', (_req, res) => res.send('ok'))
  return createServer(app)
}
const FRAMEWORKS = {
  'express 4': express(express4),
  'express 5': express(express5),
  async fastify(sentinels) {
    const app = fastify()
    for (const s of sentinels) app.register(onFastify(s, OPTIONS))
    app.get('/ok', async () => 'ok')
    await app.ready()
    return app.server
  },
  koa(sentinels) {
    const app = new Koa()
    for (const s of sentinels) app.use(onKoa(s, OPTIONS))
    app.use((ctx) => {
      ctx.body = 'ok'
    })
    return createServer(app.callback())
  },
  http: (sentinels) =>
    createServer(
      sentinels.reduce(
        (handler, s) => onHttp(s, OPTIONS)(handler),
        (_req, res) => res.end('ok')
      )
    )
}

for (const [name, make] of Object.entries(FRAMEWORKS)) {
  test(`${name}: twice is once, and two are two`, async (t) => {
    const [s, other] = [new Sentinel(), new Sentinel()]
    const server = await make([s, s, other])
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.after(() => server.close())
    for (let i = 1; i <= 3; i++) {
      assert.equal((await ask(server.address().port, 'GET', '/ok', { 'x-tenant-id': 'acme' })).status, 200)
      await until(() => s.stats().offered >= i && other.stats().offered >= i, 'both')
    }
    for (const each of [s, other]) assert.equal(each.tenant('acme').requests, 3)
  })
}
