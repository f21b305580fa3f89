'use strict'

const { Sentinel } = require('./core/sentinel.cjs')
const { setTenant } = require('./adapters/watch.cjs')

module.exports = { Sentinel, setTenant }
