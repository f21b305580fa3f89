import type { Context, Handler, MiddlewareHandler } from 'hono'
import type { AdapterOptions, MountOptions } from './adapter.cjs'
import type { Sentinel } from '../index.cjs'

export { setTenant } from '../index.cjs'
export { upgrades } from './adapter.cjs'
/** Middleware that tells a sentinel of every request: `app.use(sentinel(s, options))`, first. */
export declare function sentinel(sentinel: Sentinel, options?: AdapterOptions<Context>): MiddlewareHandler
/** The admin view: `app.all('/sentinel/*', admin(s))`, `prefix` where it is elsewhere. Its own requests do not count. */
export declare function admin(sentinel: Sentinel, options?: MountOptions): Handler
