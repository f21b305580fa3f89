import type { FastifyPluginCallback, FastifyRequest } from 'fastify'
import type { AdapterOptions } from './adapter.cjs'
import type { AdminOptions, Sentinel } from '../index.cjs'

export { setTenant } from '../index.cjs'
export { upgrades } from './adapter.cjs'
/** A plugin that records every request of the instance: `app.register(sentinel(s, options))`. */
export declare function sentinel(sentinel: Sentinel, options?: AdapterOptions<FastifyRequest>): FastifyPluginCallback
/** The admin view: `app.register(admin(s), { prefix: '/sentinel' })`. Requests for the view do not count. */
export declare function admin(sentinel: Sentinel, options?: AdminOptions): FastifyPluginCallback
