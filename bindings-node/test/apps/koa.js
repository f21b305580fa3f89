import http from 'node:http'
import Koa from 'koa'
import Router from '@koa/router'
import { admin, sentinel, setTenant } from 'tenant-sentinel/koa'
import { breaking, chunks, Refused } from '../support/bodies.js'

export const app = {
  serve(s, options, view) {
    const app = new Koa()
    app.silent = true
    app.use(sentinel(s, options))
    app.use(admin(s, view))
    app.use(async (ctx, next) => {
      ctx.state.user = ctx.get('x-user')
      if (ctx.get('x-early')) ctx.status = Number(ctx.get('x-early'))
      else await next()
    })
    app.use(async (ctx, next) => {
      try {
        await next()
      } catch (error) {
        if (!(error instanceof Refused)) throw error
        ctx.status = 503
        ctx.body = 'handled'
      }
    })
    const router = new Router()
    const users = new Router({ prefix: '/api/:version' })
    users.get('/users/:id', (ctx) => (ctx.body = 'user'))
    router.get('/ok', (ctx) => (ctx.body = 'ok'))
    router.get('/things/:id', (ctx) => ctx.throw(404))
    router.post('/post', (ctx) => (ctx.body = 'posted'))
    router.get('/moved', (ctx) => {
      ctx.redirect('/ok')
      ctx.status = 307
    })
    router.get('/numbers/:number', (ctx) => (ctx.status = /^\d+$/.test(ctx.params.number) ? 200 : 400))
    router.get('/fails', () => {
      throw new Error('a bug in the handler')
    })
    router.get('/handled', () => {
      throw new Refused('no database')
    })
    router.get('/slow', () => new Promise(() => {}))
    router.get('/stream', (ctx) => (ctx.body = chunks(300)))
    router.get('/endless', (ctx) => (ctx.body = chunks(30_000)))
    router.get('/breaks', (ctx) => (ctx.body = breaking()))
    router.get('/events', (ctx) => {
      ctx.body = chunks(30_000)
      ctx.type = 'text/event-stream'
    })
    router.get('/set', (ctx) => {
      setTenant(ctx, 'acme')
      ctx.body = 'ok'
    })
    router.get('/health', (ctx) => (ctx.body = 'healthy'))
    app.use(users.routes()).use(router.routes()).use(router.allowedMethods())
    return http.createServer(app.callback())
  },
  templates: {},
  notAllowed: 405
}
