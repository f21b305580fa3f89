import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AdapterOptions, MountOptions } from './adapter.cjs'
import type { Sentinel } from '../index.cjs'

export { setTenant } from '../index.cjs'
export { upgrades } from './adapter.cjs'
/** Wraps a request handler and records its requests: `createServer(sentinel(s, options)(handler))`. Errors of the handler are thrown on. */
export declare function sentinel(
  sentinel: Sentinel,
  options?: AdapterOptions<IncomingMessage>
): <Out>(handler: (req: IncomingMessage, res: ServerResponse) => Out) => (req: IncomingMessage, res: ServerResponse) => Out
/**
 * The admin view: `view = admin(s)`, and `view(req, res)` returns false for a request that is not below the prefix. Requests for the
 * view do not count.
 */
export declare function admin(
  sentinel: Sentinel,
  options?: MountOptions
): (req: IncomingMessage, res: ServerResponse) => boolean
