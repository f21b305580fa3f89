// An Express service with an incident: npm --prefix examples/express_app run demo
import express from 'express'
import { Sentinel } from 'tenant-sentinel'
import { admin, sentinel } from 'tenant-sentinel/express'
import { begin, options, TOKEN } from '../traffic.js'

const s = new Sentinel({ adminToken: TOKEN })
const app = express()
app.use(sentinel(s, { tenant: 'x-tenant-id' }))
app.use('/sentinel', admin(s))

// An order, unless it fails.
app.get('/orders/:order', (req, res) => res.status(req.query.fail ? 503 : 200).json({ order: req.params.order }))

const asked = options()
app.listen(asked.port, '127.0.0.1', () => begin(s, asked))
