'use strict'

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

/** A prefix as it is in front of a path. */
const withoutSlash = (prefix) => (prefix.endsWith('/') ? prefix.slice(0, -1) : prefix)

/** The part of a URL below a prefix (without a slash at its end); nothing when it is not below it. */
function below(prefix, url) {
  if (!url.startsWith(prefix)) return undefined
  const rest = url.slice(prefix.length)
  return rest === '' || rest[0] === '/' || rest[0] === '?' ? rest : undefined
}

module.exports = { serve, below, withoutSlash }
