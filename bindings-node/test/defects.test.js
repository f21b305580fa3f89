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
