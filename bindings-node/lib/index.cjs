'use strict'

const { Sentinel } = require('./sentinel.cjs')
const { setTenant } = require('./watch.cjs')

module.exports = { Sentinel, setTenant }
