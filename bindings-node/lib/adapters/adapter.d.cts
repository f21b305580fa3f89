import type { Server } from 'node:http'
import type { Sentinel, TenantId } from '../index.cjs'

/** Where a request's tenant is, what does not count, and what an endpoint is called where the framework does not say. */
export interface AdapterOptions<Request> {
  /**
   * The name of a header, or a function of the request, async or not, that is called when the answer is complete, so after
   * authentication. What `setTenant` said goes before it. A promise that is not settled after five seconds is nobody's request.
   */
  tenant?: string | ((request: Request) => TenantId | PromiseLike<TenantId>)
  /** Route templates that do not count, such as health checks. The admin view never does. */
  exclude?: string | Iterable<string>
  /** The route template, never the raw path; nothing where the framework knows it. */
  endpoint?: (request: Request) => string | null | undefined
}

/** Where the admin view is. */
export interface MountOptions {
  /** It answers to everybody who can reach it. */
  public?: boolean
  /** Default: `/sentinel`. */
  prefix?: string
}

/** Tells a sentinel of the handshakes of what `server` upgrades. Call it once there is a listener for `upgrade`. */
export declare function upgrades(
  server: Pick<Server, 'prependListener'>,
  sentinel: Sentinel,
  options?: AdapterOptions<import('node:http').IncomingMessage>
): void
