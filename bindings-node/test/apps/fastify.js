import fastify from 'fastify'
import { admin, sentinel, setTenant } from 'tenant-sentinel/fastify'
import { breaking, chunks, Refused } from '../support/bodies.js'

export const app = {
  async serve(s, options, view) {
    const app = fastify()
    app.register(sentinel(s, options))
    app.register(admin(s, view), { prefix: '/sentinel' })
    app.addHook('preHandler', async (request, reply) => {
      request.user = request.headers['x-user']
      if (request.headers['x-early']) return reply.code(Number(request.headers['x-early'])).send()
    })
    app.setErrorHandler((error, _request, reply) => (error instanceof Refused ? reply.code(503).send('handled') : reply.send(error)))
    app.get('/ok', async () => 'ok')
    app.get('/things/:id', async (_request, reply) => reply.code(404).send('no such thing'))
    app.post('/post', async () => 'posted')
    app.get('/moved', async (_request, reply) => reply.redirect('/ok', 307))
    app.get('/numbers/:number', { schema: { params: { type: 'object', properties: { number: { type: 'integer' } } } } }, async () => 'ok')
    app.get('/fails', () => {
      throw new Error('a bug in the handler')
    })
    app.get('/handled', async () => {
      throw new Refused('no database')
    })
    app.get('/slow', () => new Promise(() => {}))
    app.get('/stream', (_request, reply) => reply.send(chunks(300)))
    app.get('/endless', (_request, reply) => reply.send(chunks(30_000)))
    app.get('/breaks', (_request, reply) => reply.send(breaking()))
    app.get('/events', (_request, reply) => reply.type('text/event-stream').send(chunks(30_000)))
    app.get('/set', async (request) => {
      setTenant(request, 'acme')
      return 'ok'
    })
    app.get('/health', async () => 'healthy')
    app.register(async (users) => users.get('/users/:id', async () => 'user'), { prefix: '/api/:version' })
    await app.ready()
    return app.server
  },
  templates: {},
  early: '/things/:id'
}
