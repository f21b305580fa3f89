'use strict'

const { wrongType } = require('../core/errors.cjs')
const { object } = require('../core/options.cjs')
const { innerOf } = require('../core/sentinel.cjs')
const { discard } = require('./watch.cjs')

/** Answers a request of Node's with the admin view; `url` is below the mount. */
function serve(view, req, res, url) {
  discard(req)
  const { status, headers, body } = view.respondTo(req.method, url, req.headers.authorization)
  // The length of what a HEAD would have had is not known here; without one, no body is promised.
  if (req.method !== 'HEAD') headers['content-length'] = body.length
  res.writeHead(status, headers)
  res.end(body)
}

/** The admin view of a sentinel, and of nothing else. */
function viewOf(sentinel, options) {
  innerOf(sentinel)
  return sentinel.admin(options)
}

/** What an admin view is told: where it is mounted, and the rest. */
function placed(given) {
  const { prefix = '/sentinel', ...options } = object('options', given, ['prefix', 'public'])
  if (typeof prefix !== 'string') throw wrongType('prefix', prefix, "a path, such as '/sentinel'")
  return { prefix, options }
}

/** The admin view of a sentinel, and the prefix that it is mounted at. */
function mounted(sentinel, given) {
  const { prefix, options } = placed(given)
  return { view: viewOf(sentinel, options), prefix: withoutSlash(prefix) }
}

/** A prefix as it is in front of a path. */
const withoutSlash = (prefix) => (prefix.endsWith('/') ? prefix.slice(0, -1) : prefix)

/** The part of a URL below a prefix (without a slash at its end); nothing when it is not below it. */
function below(prefix, url) {
  if (!url.startsWith(prefix)) return undefined
  const rest = url.slice(prefix.length)
  return rest === '' || rest[0] === '/' || rest[0] === '?' ? rest : undefined
}

module.exports = { serve, below, viewOf, placed, mounted, withoutSlash }
