'use strict'

module.exports = require('./hono-factory.cjs')(require('hono/route').matchedRoutes)
