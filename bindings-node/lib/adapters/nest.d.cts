import type { AdapterOptions, MountOptions } from './adapter.cjs'
import type { Sentinel } from '../index.cjs'

export { setTenant } from '../index.cjs'
export { upgrades } from './adapter.cjs'

/** The part of a Nest application that the adapter uses; the platform is Express or Fastify. */
export interface NestApplication {
  getHttpAdapter(): { getType(): string; getInstance(): any }
  use(...given: any[]): any
}

/** Records every request: `sentinel(app, s, options)`, before `app.listen`. Functions in `options` are called with the platform's request. */
export declare function sentinel(app: NestApplication, sentinel: Sentinel, options?: AdapterOptions<any>): void
/** The admin view: `admin(app, s)`. Requests for the view do not count. */
export declare function admin(app: NestApplication, sentinel: Sentinel, options?: MountOptions): void
