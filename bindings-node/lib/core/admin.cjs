'use strict'

const { requireText } = require('./options.cjs')

/** Answers requests for the admin view; knows no framework. */
class Admin {
  #recorder
  #native

  constructor(recorder, native) {
    this.#recorder = recorder
    this.#native = native
  }

  /** See `Admin.respond` in index.d.cts. The native side returns headers as name, value, name, value. */
  respond(method, path, query = '', authorization = undefined) {
    for (const [field, value] of Object.entries({ method, path, query })) requireText(field, value)
    this.#recorder.handOverAll()
    const given = typeof authorization === 'string' ? Buffer.from(authorization, 'latin1') : undefined
    const { status, headers, body } = this.#native.respond(method, path, query, given)
    const byName = {}
    for (let i = 0; i < headers.length; i += 2) byName[headers[i]] = headers[i + 1]
    return { status, headers: byName, body }
  }

  /** Answers a request by its URL below the mount: a path and maybe a query. */
  respondTo(method, url, authorization) {
    const at = url.indexOf('?')
    return at < 0 ? this.respond(method, url, '', authorization) : this.respond(method, url.slice(0, at), url.slice(at + 1), authorization)
  }
}

module.exports = { Admin }
