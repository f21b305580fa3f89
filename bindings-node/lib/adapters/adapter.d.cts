import type { Server } from 'node:http'
import type { Sentinel, TenantId } from '../index.cjs'

/**
 * Options of every adapter. `Request` is the framework's own request or context.
 *
 * @example
 * sentinel(s, { tenant: (req) => req.user?.company, exclude: ['/health'] })
 */
export interface AdapterOptions<Request> {
  /**
   * The name of a header, or a function of the request, which may be async. The function is called when the answer is complete, so after
   * authentication. A call of `setTenant` goes before this option. A request is `unattributed` when the function fails, or when its
   * promise is not settled within 5 s.
   */
  tenant?: string | ((request: Request) => TenantId | PromiseLike<TenantId>)
  /** Route templates that do not count, such as health checks. Requests for the admin view never count. */
  exclude?: string | Iterable<string>
  /** Returns the route template, never the raw path, or nothing for a route that the framework knows. */
  endpoint?: (request: Request) => string | null | undefined
}

/** Options of an admin view that has a prefix of its own. */
export interface MountOptions {
  /** Whether the view answers without a token. Default: false. */
  public?: boolean
  /** The path of the view. Default: `/sentinel`. */
  prefix?: string
}

/**
 * Counts the handshakes of connections that `server` upgrades, such as WebSockets. Call this after the application has added its own
 * listener for `upgrade`: without one, Node treats such requests as any other.
 */
export declare function upgrades(
  server: Pick<Server, 'prependListener'>,
  sentinel: Sentinel,
  options?: AdapterOptions<import('node:http').IncomingMessage>
): void
