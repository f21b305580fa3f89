import { createServer } from 'node:http'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import { Sentinel, setTenant, type Cause, type ConfigError, type Report } from 'tenant-sentinel'
import * as onExpress from 'tenant-sentinel/express'
import * as onFastify from 'tenant-sentinel/fastify'
import * as onHono from 'tenant-sentinel/hono'
import * as onHttp from 'tenant-sentinel/http'
import * as onKoa from 'tenant-sentinel/koa'
import * as onNest from 'tenant-sentinel/nest'

const s = new Sentinel({ window: '10m', slot: 10, budget: '64MiB', errors: '5xx', places: 2048, maxEndpoints: 1024, stripes: 2, slowAfter: 1, adminToken: 'correct-horse-battery' })
s.record('acme', '/v1/process', 503, 41.7)
s.record(null, undefined, 200, null, Date.now())
const report: Report = s.report({ by: 'errors', limit: 10, window: '2m', series: true })
const share: number | null = report.tenants[0]!.errorShare
const kind: 'quiet' | 'one_tenant' | 'few_tenants' | 'one_endpoint' | 'everyone' | 'unclear' = s.verdict().kind
const inFlight: number = s.tenant('acme', { window: 60 })?.inFlight ?? 0
const error: ConfigError['field'] = 'window'
console.log(share, kind, inFlight, error, s.stats().dropped.noMemory)
const alerting = new Sentinel({
  service: 'shop',
  stateDir: '/var/lib/shop',
  alerts: { tenantErrors: { atLeast: 500, keepFiringFor: '2m' }, sinks: [{ type: 'slack', url: { env: 'SLACK_URL' } }, { type: 'log' }] }
})
const told: boolean | undefined = alerting.alerts()?.alerts[0]?.alert?.told
const failures: (string | null)[] = (await alerting.testAlert('slack', { timeout: '5s' })).map(({ error }) => error)
console.log(told, failures)
const watching = new Sentinel({
  service: 'shop',
  uptime: { checks: [{ name: 'shop', target: 'https://shop.example/health', interval: '30s', headers: { 'x-key': 'k' }, expect: { status: ['2xx', 304], json: { '/db/ready': true } }, confirm: { failures: 2 }, maintenance: [{ weekly: { days: ['sat'], at: '03:00', for: '90m' } }] }] }
})
const down: number | undefined = watching.uptime()?.counts.down
const worst: number | undefined = watching.uptime({ series: true })?.checks[0]?.days?.downMs[89]
const cause: Cause | null | undefined = watching.uptime()?.checks[0]?.last?.cause
console.log(down, worst, cause)
// @ts-expect-error: a check has a target
new Sentinel({ uptime: { checks: [{ name: 'shop' }] } })
// @ts-expect-error: a sink of Slack has a URL
new Sentinel({ alerts: { sinks: [{ type: 'slack' }] } })
// @ts-expect-error: names are in camelCase
new Sentinel({ alerts: { tenant_errors: {} } })
// @ts-expect-error: no such ranking
s.report({ by: 'cost' })
// @ts-expect-error: a status is a number
s.record('acme', '/', '200', 1)

const app = express()
app.use(onExpress.sentinel(s, { tenant: (req) => req.get('x-tenant-id'), exclude: ['/health'] }))
app.use('/sentinel', onExpress.admin(s))
app.get('/', (req) => setTenant(req, 'acme'))

const quick = fastify()
quick.register(onFastify.sentinel(s, { tenant: async (request) => request.headers['x-tenant-id']?.toString() }))
quick.register(onFastify.admin(s), { prefix: '/sentinel' })

new Koa().use(onKoa.sentinel(s, { tenant: (ctx) => ctx.state['user'] as string })).use(onKoa.admin(s))
new Hono().use(onHono.sentinel(s, { tenant: (c) => c.req.header('x-tenant-id') })).all('/sentinel/*', onHono.admin(s, { public: true }))
const view = onHttp.admin(s)
const server = createServer(onHttp.sentinel(s, { endpoint: () => '/' })((req, res) => view(req, res) || res.end()))
onHttp.upgrades(server, s)
declare const nest: onNest.NestApplication
onNest.sentinel(nest, s, { tenant: 'x-tenant-id' })
onNest.admin(nest, s)
