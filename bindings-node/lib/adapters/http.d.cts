import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AdapterOptions, MountOptions } from './adapter.cjs'
import type { Sentinel } from '../index.cjs'

export { setTenant } from '../index.cjs'
export { upgrades } from './adapter.cjs'
/** Wraps a request handler: `createServer(sentinel(s, options)(handler))`. What it throws goes on its way. */
export declare function sentinel(
  sentinel: Sentinel,
  options?: AdapterOptions<IncomingMessage>
): <Out>(handler: (req: IncomingMessage, res: ServerResponse) => Out) => (req: IncomingMessage, res: ServerResponse) => Out
/** The admin view as a handler, below a prefix: false where the request is not for it. */
export declare function admin(
  sentinel: Sentinel,
  options?: MountOptions
): (req: IncomingMessage, res: ServerResponse) => boolean
