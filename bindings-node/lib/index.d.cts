import type { AlertsReport, TriedSink } from './types/alerts.cjs'
import type { Duration, Options } from './types/options.cjs'
import type { Memory, Query, Report, Sharing, Stats, TenantReport, Verdict } from './types/report.cjs'
import type { UptimeReport } from './types/uptime.cjs'

export * from './types/alerts.cjs'
export * from './types/options.cjs'
export * from './types/report.cjs'
export * from './types/uptime.cjs'

/** The tenant of a request. `null`, `undefined` and the empty id are no tenant: the row `unattributed`. */
export type TenantId = string | Uint8Array | number | bigint | null | undefined

/** An option or an argument that cannot be used: a `TypeError` for a wrong kind of value, a `RangeError` for a wrong value. */
export interface ConfigError extends Error {
  code: 'ERR_SENTINEL_CONFIG'
  /** The option or argument: `window`, `alerts.sinks[0].url`. */
  field: string
  /** The refused value as text, without secrets. */
  value: string
  /** The values that are allowed, as text. */
  allowed: string
}

/** A request in flight, from `Sentinel.start`. A guard that is garbage-collected unfinished counts as aborted (499). No method throws. */
export interface Guard {
  /** Sets the tenant; the last call counts. */
  tenant(tenantId: TenantId): void
  /** Sets the endpoint that counts if the request never finishes. */
  endpoint(endpoint: string | null | undefined): void
  /** Records the request with the latency since `start`. */
  finish(endpoint: string | null | undefined, statusCode: number): void
  /** Ends the request without recording it. */
  discard(): void
}

/** An answer of the admin view. */
export interface AdminResponse {
  status: number
  /** Names in lower case; without `content-length`. */
  headers: Record<string, string>
  body: Buffer
}

/** Answers requests for the admin view; knows no framework. */
export interface Admin {
  /**
   * Answers a request.
   *
   * @param path The path below the mount, percent-encoded as it was sent.
   * @param query The query, percent-encoded, without `?`.
   * @param authorization The `Authorization` header.
   */
  respond(method: string, path: string, query?: string, authorization?: string): AdminResponse
}

export interface AdminOptions {
  /** Whether the view answers without a token. Default: false. */
  public?: boolean
}

/**
 * Answers which tenant is causing elevated errors or latency right now: one, a few, or everyone.
 *
 * @example
 * const s = new Sentinel({ window: '10m' })
 * s.record('acme', '/orders/:order', 503, 41.7)
 * console.log(s.text())
 */
export declare class Sentinel {
  /** @throws {ConfigError} for an option that cannot be used. */
  constructor(options?: Options)
  /**
   * Shares the sentinel that another thread of this process holds.
   *
   * @param handle The property `handle` of that sentinel.
   * @throws {ConfigError} when no thread of this process holds that sentinel.
   */
  static attach(handle: number): Sentinel
  /** The number by which worker threads `attach` to this sentinel. */
  readonly handle: number
  /**
   * Counts one request. Never throws, whatever the values are; a value of a wrong type counts as missing, and as
   * `stats().adapterFailures`.
   *
   * @param tenantId The tenant. An id longer than 128 bytes is shortened to 96 bytes and a hash.
   * @param endpoint The route template, never the raw path; missing: `unmatched`.
   * @param statusCode 100 to 599; 499 when the client went away. Any other number drops the event, as `dropped.status`.
   * @param latencyMs Milliseconds; missing: unknown. A request with NaN, an infinite or a negative latency counts without it.
   * @param timestampMs When the request ended, in Unix milliseconds; missing: now.
   */
  record(
    tenantId: TenantId,
    endpoint: string | null | undefined,
    statusCode: number,
    latencyMs: number | bigint | null | undefined,
    timestampMs?: number | bigint | null
  ): void
  /** Begins a request, which is in flight until it is finished or discarded. Never throws. */
  start(tenantId?: TenantId): Guard
  /**
   * Ranks the tenants and returns the verdicts, over everything that this thread has recorded so far.
   *
   * @throws {ConfigError} for an option that cannot be used.
   * @example
   * s.report({ by: 'latency', limit: 5, window: '2m' }).tenants[0]?.tenantId
   */
  report(query?: Query): Report
  /** The report as text for people. */
  text(query?: Pick<Query, 'by' | 'limit' | 'window' | 'scope'>): string
  /** The verdict on errors. */
  verdict(): Verdict
  /** The verdict on latency. */
  latencyVerdict(): Verdict
  /** One tenant in detail; `undefined` for a tenant that is not in the window. */
  tenant(tenantId: TenantId, query?: Pick<Query, 'window' | 'scope'>): TenantReport | undefined
  /** The counters of this sentinel. */
  stats(): Stats
  /** The memory in use, and the budget. */
  memory(): Memory
  /** Evaluates the verdicts as of now. An application with a timer calls this once a second; otherwise queries and records do it. */
  tick(): void
  /**
   * Starts the thread that shares with other processes, where a `service` is configured. The first event and the first query start it
   * too, so only a service that is to be listed before its first request needs this. Never throws.
   */
  startExporter(): void
  /** Publishes the counts of this process now instead of within 2 s. Waits 250 ms at most, and returns whether that was done. */
  publish(): boolean
  /** The state of sharing with other processes; `null` without a `service`. */
  sharing(): Sharing | null
  /**
   * The state of alerts; `null` where no alerts are configured.
   *
   * @throws {Error} with the reason, when the sentinel is closed or its thread does not answer within 250 ms.
   */
  alerts(): AlertsReport | null
  /**
   * The state of uptime checks; `null` where no checks are configured. `series` adds the last 90 days, day by day.
   *
   * @throws {Error} with the reason, when the sentinel is closed or its thread does not answer within 250 ms.
   */
  uptime(query?: { series?: boolean }): UptimeReport | null
  /**
   * Sends a test message to the sink with this name, or to all sinks, and resolves with the result of each. The event loop goes on
   * meanwhile, and the promise keeps the process alive. Rejects with a {@link ConfigError} for an unknown sink, and with an `Error` with
   * the reason when the test could not run.
   *
   * @param options `timeout`: 10 s by default, a minute at most.
   */
  testAlert(sink?: string | null, options?: { timeout?: Duration }): Promise<TriedSink[]>
  /** Makes an admin view, which an adapter mounts. */
  admin(options?: AdminOptions): Admin
  /** Counts a failure of an adapter in `stats().adapterFailures`. */
  adapterFailed(): void
  /** Hands over the events that wait in this thread, up to 100 ms, so that other threads with this sentinel see them now. */
  flush(): void
  /** Ends counting and publishes the last counts, within a second. Reports can still be asked for. */
  close(): void
}

/**
 * Sets the tenant of a request of any adapter: a request of node:http, or a framework's request or context. Goes before the adapter's
 * option `tenant`; the last call counts. Never throws, and does nothing for a request without an adapter.
 */
export declare function setTenant(request: object, tenantId: TenantId): void
