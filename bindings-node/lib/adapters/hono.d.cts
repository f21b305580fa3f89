import type { Context, Handler, MiddlewareHandler } from 'hono'
import type { AdapterOptions, MountOptions } from './adapter.cjs'
import type { Sentinel } from '../index.cjs'

export { setTenant } from '../index.cjs'
export { upgrades } from './adapter.cjs'
/** Middleware that records every request: `app.use(sentinel(s, options))`, before all other middleware. */
export declare function sentinel(sentinel: Sentinel, options?: AdapterOptions<Context>): MiddlewareHandler
/** The admin view: `app.all('/sentinel/*', admin(s))`, with the option `prefix` for another path. Requests for the view do not count. */
export declare function admin(sentinel: Sentinel, options?: MountOptions): Handler
