import type { Request, RequestHandler } from 'express'
import type { AdapterOptions } from './adapter.cjs'
import type { AdminOptions, Sentinel } from '../index.cjs'

export { setTenant } from '../index.cjs'
export { upgrades } from './adapter.cjs'
/** Middleware that tells a sentinel of every request; add it first. */
export declare function sentinel(sentinel: Sentinel, options?: AdapterOptions<Request>): RequestHandler
/** The admin view: `app.use('/sentinel', admin(s))`. Its own requests do not count. */
export declare function admin(sentinel: Sentinel, options?: AdminOptions): RequestHandler
