'use strict'

// The admin view below a framework: reads the options of a mount, and answers requests of node:http.

const { wrongType } = require('../core/errors.cjs')
const { readOptions } = require('../core/options.cjs')
const { recorderOf } = require('../core/sentinel.cjs')
const { discard } = require('./watch.cjs')

/** Answers a request of node:http with the admin view; `url` is the part below the mount. */
function serveAdminView(view, req, res, url) {
  discard(req)
  const { status, headers, body } = view.respondTo(req.method, url, req.headers.authorization)
  // The answer to a HEAD has no length: the length that a GET would have is not known here.
  if (req.method !== 'HEAD') headers['content-length'] = body.length
  res.writeHead(status, headers)
  res.end(body)
}

/** The admin view of a sentinel; throws for anything else. */
function adminViewOf(sentinel, options) {
  recorderOf(sentinel)
  return sentinel.admin(options)
}

/** Splits the options of a mount into the prefix and the options of the view. */
function mountOptions(given) {
  const { prefix = '/sentinel', ...options } = readOptions('options', given, ['prefix', 'public'])
  if (typeof prefix !== 'string') throw wrongType('prefix', prefix, "a path, such as '/sentinel'")
  return { prefix, options }
}

/** The admin view of a sentinel, and the prefix of its mount without a slash at the end. */
function mountedAdminView(sentinel, given) {
  const { prefix, options } = mountOptions(given)
  return { view: adminViewOf(sentinel, options), prefix: withoutTrailingSlash(prefix) }
}

const withoutTrailingSlash = (path) => (path.endsWith('/') ? path.slice(0, -1) : path)

/** The part of a URL below a prefix without a slash at its end; `undefined` for a URL that is not below it. */
function urlBelow(prefix, url) {
  if (!url.startsWith(prefix)) return undefined
  const rest = url.slice(prefix.length)
  return rest === '' || rest[0] === '/' || rest[0] === '?' ? rest : undefined
}

module.exports = { serveAdminView, adminViewOf, mountOptions, mountedAdminView, withoutTrailingSlash, urlBelow }
