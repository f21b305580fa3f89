import type { AdapterOptions, MountOptions } from './adapter.cjs'
import type { Sentinel } from '../index.cjs'

export { setTenant } from '../index.cjs'
export { upgrades } from './adapter.cjs'

/** As much of a Nest application as is needed: one on Express or on Fastify. */
export interface NestApplication {
  getHttpAdapter(): { getType(): string; getInstance(): any }
  use(...given: any[]): any
}

/** Tells a sentinel of every request: before `app.listen`. Functions are called with the platform's request. */
export declare function sentinel(app: NestApplication, sentinel: Sentinel, options?: AdapterOptions<any>): void
/** The admin view below a prefix. Its own requests do not count. */
export declare function admin(app: NestApplication, sentinel: Sentinel, options?: MountOptions): void
