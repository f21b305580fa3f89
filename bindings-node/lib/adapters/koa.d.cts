import type { Context, Middleware } from 'koa'
import type { AdapterOptions, MountOptions } from './adapter.cjs'
import type { Sentinel } from '../index.cjs'

export { setTenant } from '../index.cjs'
export { upgrades } from './adapter.cjs'
/** Middleware that records every request: `app.use(sentinel(s, options))`, first. Route templates are those of @koa/router. */
export declare function sentinel(sentinel: Sentinel, options?: AdapterOptions<Context>): Middleware
/** The admin view: `app.use(admin(s))`. Requests for the view do not count. */
export declare function admin(sentinel: Sentinel, options?: MountOptions): Middleware
