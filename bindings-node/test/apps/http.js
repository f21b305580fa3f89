import http from 'node:http'
import { pipeline } from 'node:stream'
import { admin, sentinel, setTenant } from 'tenant-sentinel/http'
import { breaking, chunks } from '../support/bodies.js'

const ROUTES = [
  [/^\/things\/\w+$/, '/things/:id', (_req, res) => res.writeHead(404).end()],
  [/^\/numbers\/\w+$/, '/numbers/:number', (_req, res) => res.writeHead(400).end()],
  [/^\/api\/\w+\/users\/\w+$/, '/api/:version/users/:id', (_req, res) => res.end('user')],
  [/^\/ok$/, '/ok', (_req, res) => res.end('ok')],
  [/^\/post$/, '/post', (req, res) => res.writeHead(req.method === 'POST' ? 200 : 405).end()],
  [/^\/moved$/, '/moved', (_req, res) => res.writeHead(307, { location: '/ok' }).end()],
  [
    /^\/fails$/,
    '/fails',
    async () => {
      throw new Error('a bug in the handler')
    }
  ],
  [/^\/handled$/, '/handled', (_req, res) => res.writeHead(503).end()],
  [/^\/slow$/, '/slow', () => {}],
  [/^\/stream$/, '/stream', (_req, res) => pipeline(chunks(300), res, () => {})],
  [/^\/endless$/, '/endless', (_req, res) => pipeline(chunks(30_000), res, () => {})],
  [/^\/breaks$/, '/breaks', (_req, res) => pipeline(breaking(), res, () => {})],
  [
    /^\/events$/,
    '/events',
    (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      pipeline(chunks(30_000), res, () => {})
    }
  ],
  [
    /^\/set$/,
    '/set',
    (req, res) => {
      setTenant(req, 'acme')
      res.end('ok')
    }
  ],
  [/^\/health$/, '/health', (_req, res) => res.end('healthy')]
]
const routeOf = (req) => ROUTES.find(([pattern]) => pattern.test(req.url.split('?')[0]))

export const app = {
  serve(s, options, view) {
    const answers = admin(s, view)
    const watched = sentinel(s, { endpoint: (req) => routeOf(req)?.[1], ...options })(async (req, res) => {
      req.user = req.headers['x-user']
      if (answers(req, res)) return
      if (req.headers['x-early']) res.writeHead(Number(req.headers['x-early'])).end()
      else await (routeOf(req)?.[2] ?? ((_req, res) => res.writeHead(404).end()))(req, res)
    })
    return http.createServer((req, res) => watched(req, res).catch(() => res.writeHead(500).end()))
  },
  templates: {},
  notAllowed: 405,
  post405: '/post',
  early: '/things/:id'
}
