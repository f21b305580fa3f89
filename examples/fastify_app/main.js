// A Fastify service with an incident: npm --prefix examples/fastify_app run demo
import fastify from 'fastify'
import { Sentinel } from 'tenant-sentinel'
import { admin, sentinel } from 'tenant-sentinel/fastify'
import { begin, options, TOKEN } from '../traffic.js'

const s = new Sentinel({ adminToken: TOKEN })
const app = fastify()
app.register(sentinel(s, { tenant: 'x-tenant-id' }))
app.register(admin(s), { prefix: '/sentinel' })

// An order, unless it fails.
app.get('/orders/:order', async (request, reply) => reply.code(request.query.fail ? 503 : 200).send({ order: request.params.order }))

const asked = options()
await app.listen({ port: asked.port })
begin(s, asked)
