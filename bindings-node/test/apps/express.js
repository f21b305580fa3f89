import http from 'node:http'
import { pipeline } from 'node:stream'
import { admin, sentinel, setTenant } from 'tenant-sentinel/express'
import { breaking, chunks, Refused } from '../support/bodies.js'

export const express = (framework, asynchronous) => ({
  serve(s, options, view) {
    const app = framework()
    app.disable('x-powered-by')
    app.set('env', 'test')
    app.use(sentinel(s, options))
    app.use('/sentinel', admin(s, view))
    app.use((req, res, next) => {
      req.user = req.headers['x-user']
      if (req.headers['x-early']) res.status(Number(req.headers['x-early'])).end()
      else next()
    })
    app.get('/ok', (_req, res) => res.send('ok'))
    app.get('/things/:id', (_req, res) => res.status(404).send('no such thing'))
    app.post('/post', (_req, res) => res.send('posted'))
    app.get('/moved', (_req, res) => res.redirect(307, '/ok'))
    app.get('/numbers/:number', (req, res) => res.status(/^\d+$/.test(req.params.number) ? 200 : 400).end())
    app.get('/fails', () => {
      throw new Error('a bug in the handler')
    })
    app.get('/later', async (_req, _res, next) => {
      await null
      if (!asynchronous) return next(new Error('a bug in the handler'))
      throw new Error('a bug in the handler')
    })
    app.get('/handled', () => {
      throw new Refused('no database')
    })
    app.get('/passes', (_req, _res, next) => next())
    app.get('/slow', () => {})
    app.get('/stream', (_req, res) => pipeline(chunks(300), res, () => {}))
    app.get('/endless', (_req, res) => pipeline(chunks(30_000), res, () => {}))
    app.get('/breaks', (_req, res) => pipeline(breaking(), res, () => {}))
    app.get('/gives-up', (_req, res, next) => {
      res.write('chunk')
      setTimeout(next, 20, new Error('a bug in the handler'))
    })
    app.get('/events', (_req, res) => {
      res.set('content-type', 'text/event-stream')
      pipeline(chunks(30_000), res, () => {})
    })
    app.get('/set', async (req, res) => {
      await null
      setTenant(req, 'acme')
      res.send('ok')
    })
    app.get('/health', (_req, res) => res.send('healthy'))
    const users = framework.Router()
    users.get('/users/:id', (_req, res) => res.send('user'))
    users.get('/fails', () => {
      throw new Error('a bug in the handler')
    })
    users.get('/', (_req, res) => res.send('index'))
    app.use('/api/:version', users)
    const sub = framework()
    sub.get('/users/:id', (_req, res) => res.send('user'))
    app.use('/sub/:tenant', sub)
    app.use((error, _req, res, next) => (error instanceof Refused ? res.status(503).send('handled') : next(error)))
    return http.createServer(app)
  },
  templates: { '/later': '/later', '/gives-up': '/gives-up', '/sub/acme/users/7': '/sub/:tenant/users/:id', '/api/v2': '/api/:version' }
})
