'use strict'

const { text } = require('./options.cjs')

/** Answers requests for the admin view; knows no framework. */
class Admin {
  #inner
  #native

  constructor(inner, native) {
    this.#inner = inner
    this.#native = native
  }

  /**
   * Path (below where the view is mounted) and query still percent-encoded; the `Authorization` header. Headers are name and value
   * in turn, without a length.
   */
  respond(method, path, query = '', authorization = undefined) {
    for (const [field, value] of Object.entries({ method, path, query })) text(field, value)
    this.#inner.settle()
    const given = typeof authorization === 'string' ? Buffer.from(authorization, 'latin1') : undefined
    const { status, headers, body } = this.#native.respond(method, path, query, given)
    const pairs = {}
    for (let i = 0; i < headers.length; i += 2) pairs[headers[i]] = headers[i + 1]
    return { status, headers: pairs, body }
  }

  /** By a request's URL below the mount. */
  respondTo(method, url, authorization) {
    const at = url.indexOf('?')
    return at < 0 ? this.respond(method, url, '', authorization) : this.respond(method, url.slice(0, at), url.slice(at + 1), authorization)
  }
}

module.exports = { Admin }
