import type { Request, RequestHandler } from 'express'
import type { AdapterOptions } from './adapter.cjs'
import type { AdminOptions, Sentinel } from '../index.cjs'

export { setTenant } from '../index.cjs'
export { upgrades } from './adapter.cjs'
/** Middleware that records every request: `app.use(sentinel(s, options))`, before all other middleware. */
export declare function sentinel(sentinel: Sentinel, options?: AdapterOptions<Request>): RequestHandler
/** The admin view: `app.use('/sentinel', admin(s))`. Requests for the view do not count. */
export declare function admin(sentinel: Sentinel, options?: AdminOptions): RequestHandler
