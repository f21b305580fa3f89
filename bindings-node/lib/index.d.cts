/** Whose a request is. Nothing and the empty id are nobody: `unattributed`. */
export type TenantId = string | Uint8Array | number | bigint | null | undefined
/** Seconds, or text such as `'10m'` or `'90s'`. */
export type Duration = number | string
/** What a report ranks by. */
export type By = 'errors' | 'error_rate' | 'latency' | 'load' | 'requests'
/** What a verdict says. */
export type Kind = 'quiet' | 'one_tenant' | 'few_tenants' | 'one_endpoint' | 'everyone' | 'unclear'

/** What is not given comes from the environment (`SENTINEL_WINDOW` for `window`), or is as by default. */
export interface Options {
  /** How far back it looks, 30 s to 24 h. Default: 10 min. */
  window?: Duration
  /** The step in which the window moves, 1 to 60 s. Default: 10 s. */
  slot?: Duration
  /** The memory it may use: bytes, or text such as `'64MiB'`. Default: 64 MiB. */
  budget?: number | string
  /** Which outcomes are errors: `'5xx'` or `'4xx,5xx'`. Default: `'5xx'`. */
  errors?: string
  /** Tenants that a slot is sure to keep, for each of requests, errors and slow requests. Default: 2048. */
  places?: number
  /** Distinct route templates; further ones share `other`. Default: 1024. */
  maxEndpoints?: number
  /** Tables that threads spread over, a power of two. Default: by the number of processors. */
  stripes?: number
  /** From which latency on a request is slow. Default: what 5 % of all requests exceed. */
  slowAfter?: Duration
  /** What the admin view asks for, 8 to 1,024 visible ASCII characters. Default: it shows nothing. */
  adminToken?: string
  /**
   * The name under which the processes of a service on this host answer for each other: 1 to 64 of `A-Z a-z 0-9 . _ -`
   * (`SENTINEL_SERVICE`). Default: each answers for itself, and no thread is started.
   */
  service?: string
  /** Where they meet, an absolute path (`SENTINEL_DIR`). Default: a private directory in memory. */
  dir?: string
  /** A `sentinel.toml` with the options of `[exporter]`; watched. */
  config?: string
}

/** What each count may fall short by: `count <= true <= count + bound`. */
export interface Bound {
  requests: number
  errors: number
  slow: number
}

/** Where a tenant's errors are. `exact` is false where `errors` is a lower bound. */
export interface TopEndpoint {
  endpoint: string
  errors: number
  exact: boolean
}

/** Counts slot by slot, the first one from `fromMs` (Unix ms). */
export interface Series {
  fromMs: number
  slotMs: number
  requests: number[]
  errors: number[]
}

/** One, a few, an endpoint, everyone, or unclear; with its evidence. Shares and rates are fractions of 1. */
export interface Verdict {
  kind: Kind
  tenants: string[]
  endpoint: string | null
  windowMs: number | null
  share: number | null
  excessShare: number | null
  errors: number | null
  of: number | null
  rateWithout: number | null
  rateNormal: number | null
  sinceMs: number | null
  active: boolean
  text: string
}

/** All tenants together. Percentiles are milliseconds. */
export interface Totals {
  requests: number
  errors: number
  slow: number
  errorRate: number | null
  aborted: number
  tenants: number
  p50Ms: number | null
  p95Ms: number | null
  p99Ms: number | null
}

/** One tenant of a report. A number that has no meaning yet is `null`, never 0. */
export interface TenantRow {
  tenantId: string
  requests: number
  errors: number
  slow: number
  errorRate: number | null
  errorShare: number | null
  excessShare: number | null
  requestShare: number | null
  bound: Bound
  culprit: boolean
  chronic: boolean
  p50Ms: number | null
  p95Ms: number | null
  p99Ms: number | null
  latencyCoarse: boolean
  latencyDeviation: number | null
  loadShare: number | null
  inFlight: number
  oldestInFlightMs: number | null
  topEndpoint: TopEndpoint | null
  /** There when it was asked for. */
  series?: Series
}

/** Tenants that have no row, together. */
export interface Tail extends Bound {
  bound: Bound
}

/** The ledger: `offered` = `accepted` + the sum of `dropped`; `accepted` = `inWindow` + `expired`. */
export interface Stats {
  offered: number
  accepted: number
  /** `internal`: lost to a defect of this package, in this thread. */
  dropped: { status: number; late: number; noMemory: number; internal: number }
  adjusted: {
    latency: number
    latencyClamped: number
    future: number
    tenantTruncated: number
    endpointOther: number
    latencyUnplaced: number
  }
  inWindow: number
  expired: number
  foreignBlocks: number
  flightsUnseen: number
  adapterFailures: number
  tenantsLetGo: number
  blocksCoarsened: number
  blocksPruned: number
}

/** How sharing with other processes goes. Times are Unix ms; `failures` counts what was not done or not believed. */
export interface Sharing {
  scope: Scope
  running: boolean
  leader: boolean
  sources: number
  publishedMs: number | null
  collectedMs: number | null
  failures: Record<string, number>
  lastError: string | null
}

/** Bytes in use, and what may be. */
export interface Memory {
  used: number
  budget: number
}

/** Who is worst, and the verdicts. Times are Unix ms. */
export interface Report {
  asOf: number
  fromMs: number
  toMs: number
  windowMs: number
  baseline: 'own' | 'cold'
  /** Whose events these are. */
  scope: Scope
  /** Why no wider scope answers, where one is configured or was asked for; or what this one leaves out. */
  scopeNote: string | null
  sources: number
  mode: 'exact' | 'bounded'
  totals: Totals
  verdict: Verdict
  latencyVerdict: Verdict
  by: By
  errors: string
  tenants: TenantRow[]
  tail: Tail
  stats: Stats
  /** There when it was asked for. */
  series?: Series
}

/** A tenant's counts at one endpoint. */
export interface EndpointCounts {
  endpoint: string
  requests: number
  errors: number
}

/** One tenant in detail: its row and its endpoints, by errors and then by requests. */
export interface TenantReport extends TenantRow {
  scope: Scope
  asOf: number
  fromMs: number
  toMs: number
  endpoints: EndpointCounts[]
}

/** This process, or all processes of the service on this host. */
export type Scope = 'process' | 'host'

/** What to ask for. */
export interface Query {
  by?: By
  /** Tenants listed, at most. Default: 10. */
  limit?: number
  /** A trailing part of the window. Default: all of it. */
  window?: Duration
  /** With requests and errors slot by slot. */
  series?: boolean
  /** Default: the widest that can answer. */
  scope?: Scope
}

/** An option or an argument that cannot be used: a `TypeError` or a `RangeError`. */
export interface ConfigError extends Error {
  code: 'ERR_SENTINEL_CONFIG'
  field: string
  value: string
  allowed: string
}

/** A request that has begun: in flight until it is finished or discarded. Collected unfinished, it counts as aborted (499). */
export interface Guard {
  /** Says whose request it is; the last word counts. */
  tenant(tenantId: TenantId): void
  /** Says where it goes, for a request that may end unfinished. */
  endpoint(endpoint: string | null | undefined): void
  /** Records it. Its latency is the time since `start`. */
  finish(endpoint: string | null | undefined, statusCode: number): void
  /** Lets go of it, uncounted. */
  discard(): void
}

/** What the admin view answers. */
export interface AdminResponse {
  status: number
  /** In lower case, without a length. */
  headers: Record<string, string>
  body: Buffer
}

/** Answers requests for the admin view; knows no framework. */
export interface Admin {
  /** Path (below where it is mounted) and query still percent-encoded, and the `Authorization` header. */
  respond(method: string, path: string, query?: string, authorization?: string): AdminResponse
}

export interface AdminOptions {
  /** It answers to everybody who can reach it. */
  public?: boolean
}

/** Which tenant is causing elevated errors or latency right now: one, a few, or everyone? */
export declare class Sentinel {
  /** @throws {ConfigError} for what cannot be used. */
  constructor(options?: Options)
  /** The sentinel that another thread of this process holds, by its `handle`. */
  static attach(handle: number): Sentinel
  /** By which worker threads find it. */
  readonly handle: number
  /**
   * Counts one request. Never throws, whatever the values are.
   *
   * @param tenantId Who asked. Longer than 128 bytes: 96 bytes and a hash stand for it.
   * @param endpoint The route template, never the raw path; nothing: `unmatched`.
   * @param statusCode 100 to 599; 499 when the client went away. Anything else drops the event, as `dropped.status`.
   * @param latencyMs Milliseconds; nothing: unknown. NaN, infinite or negative: the request counts, its latency does not.
   * @param timestampMs When it ended, in Unix milliseconds; nothing: now.
   */
  record(
    tenantId: TenantId,
    endpoint: string | null | undefined,
    statusCode: number,
    latencyMs: number | bigint | null | undefined,
    timestampMs?: number | bigint | null
  ): void
  /** Begins a request that is recorded when it is finished. Never throws. */
  start(tenantId?: TenantId): Guard
  /** Who is worst, and the verdicts: everything that this thread has recorded so far is in it. */
  report(query?: Query): Report
  /** The report as people read it. */
  text(query?: Pick<Query, 'by' | 'limit' | 'window' | 'scope'>): string
  /** The verdict on errors. */
  verdict(): Verdict
  /** The verdict on latency. */
  latencyVerdict(): Verdict
  /** One tenant in detail; `undefined` when it is not in the window. */
  tenant(tenantId: TenantId, query?: Pick<Query, 'window' | 'scope'>): TenantReport | undefined
  /** The ledger. */
  stats(): Stats
  /** The memory that is used and what may be. */
  memory(): Memory
  /** Judges, as of now. Whoever owns a timer calls it once a second; without that, queries and records do its work. */
  tick(): void
  /**
   * Starts the thread that shares with other processes, where that is configured. The first event and the first question start it too;
   * this is for a service that should be heard of before its first request.
   */
  startExporter(): void
  /** Makes what was counted readable to other processes now, and not within two seconds; whether that was done. Waits 250 ms at most. */
  publish(): boolean
  /** How sharing with other processes goes; `null` where nothing is shared. */
  sharing(): Sharing | null
  /** The admin view, to be mounted by an adapter. */
  admin(options?: AdminOptions): Admin
  /** For adapters: something of theirs failed. */
  adapterFailed(): void
  /** Hands over what waits: worker threads that share this sentinel see it now and not within 100 ms. */
  flush(): void
  /**
   * Ends it: nothing is counted from here on, and what was counted is published where that is configured, within a second; it can still
   * be asked for.
   */
  close(): void
}

/**
 * Says whose request this is, a request of any adapter: it goes before what the adapter was told, and the last word counts. Never
 * throws; where nobody watches the request it does nothing.
 */
export declare function setTenant(request: object, tenantId: TenantId): void
