import type { Context, Middleware } from 'koa'
import type { AdapterOptions, MountOptions } from './adapter.cjs'
import type { Sentinel } from '../index.cjs'

export { setTenant } from '../index.cjs'
export { upgrades } from './adapter.cjs'
/** Middleware that tells a sentinel of every request; add it first. Route templates are those of @koa/router. */
export declare function sentinel(sentinel: Sentinel, options?: AdapterOptions<Context>): Middleware
/** The admin view, below a prefix: `app.use(admin(s))`. Its own requests do not count. */
export declare function admin(sentinel: Sentinel, options?: MountOptions): Middleware
