'use strict'

module.exports = require('./hono-with.cjs')(require('hono/route').matchedRoutes)
