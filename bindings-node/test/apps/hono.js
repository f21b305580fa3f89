import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import { Readable } from 'node:stream'
import { admin, sentinel, setTenant } from 'tenant-sentinel/hono'
import { breaking, chunks, Refused } from '../support/bodies.js'

export const app = {
  serve(s, options, view) {
    const app = new Hono()
    app.use(sentinel(s, options))
    app.all('/sentinel/*', admin(s, view))
    app.use(async (c, next) => {
      c.set('user', c.req.header('x-user'))
      if (c.req.header('x-early')) return c.body(null, Number(c.req.header('x-early')))
      await next()
    })
    app.onError((error, c) => c.text('failed', error instanceof Refused ? 503 : 500))
    app.get('/ok', (c) => c.text('ok'))
    app.get('/things/:id', (c) => c.notFound())
    app.post('/post', (c) => c.text('posted'))
    app.get('/moved', (c) => c.redirect('/ok', 307))
    app.get('/numbers/:number', (c) => c.text('', /^\d+$/.test(c.req.param('number')) ? 200 : 400))
    app.get('/fails', () => {
      throw new Error('a bug in the handler')
    })
    app.get('/handled', async () => {
      throw new Refused('no database')
    })
    app.get('/slow', () => new Promise(() => {}))
    app.get('/stream', (c) => c.body(Readable.toWeb(chunks(300))))
    app.get('/endless', (c) => c.body(Readable.toWeb(chunks(30_000))))
    app.get('/breaks', (c) => c.body(Readable.toWeb(breaking())))
    app.get('/events', (c) => c.body(Readable.toWeb(chunks(30_000)), 200, { 'content-type': 'text/event-stream' }))
    app.get('/set', (c) => {
      setTenant(c, 'acme')
      return c.text('ok')
    })
    app.get('/health', (c) => c.text('healthy'))
    const users = new Hono()
    users.get('/users/:id', (c) => c.text('user'))
    app.route('/api/:version', users)
    return createAdaptorServer({ fetch: app.fetch })
  },
  templates: {},
  early: '/things/:id'
}
