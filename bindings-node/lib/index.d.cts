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
  /** A `sentinel.toml` with the options of `[exporter]`, `[alerts]` and `[uptime]`; watched. */
  config?: string
  /**
   * Whom to tell, and when; in place of `[alerts]` in the file. Needs a `service`. Default: nobody is told. `SENTINEL_SLACK_URL` and
   * `SENTINEL_WEBHOOK_URL` (with `SENTINEL_WEBHOOK_SECRET`) each add a sink.
   */
  alerts?: AlertOptions
  /**
   * What is probed, and how often; in place of `[uptime]` in the file. Needs a `service`, one process of which probes. Default: nothing.
   */
  uptime?: UptimeOptions
  /**
   * Where alerts that fire and messages that wait survive a restart, an absolute path (`SENTINEL_STATE_DIR`). Default: `dir`, which
   * survives one of the service and, in memory, none of the machine.
   */
  stateDir?: string
}

/** Text that is never shown: itself, or where it is. */
export type Secret = string | { env: string } | { file: string }

/** What all rules have: for how long its condition must be there, and be over. */
export interface Lasting {
  /** Default: 30 s; of verdicts 0, which last before they are shown. */
  for?: Duration
  /** Default: 2 min. */
  keepFiringFor?: Duration
}

/** Which alerts there are, and where people are told. */
export interface AlertOptions {
  /** About the verdicts; on by default. */
  verdict?: Lasting & { errors?: boolean; latency?: boolean; kinds?: ('one_tenant' | 'few_tenants' | 'one_endpoint' | 'everyone')[] }
  /** A tenant has at least so many errors in the window; over at half of that. */
  tenantErrors?: Lasting & { atLeast?: number }
  /** A tenant has at least such a share (0.01 to 0.99) of all failures, for certain. */
  tenantShare?: Lasting & { above?: number }
  /** About uptime checks; on by default, and told at once: what they say is confirmed. */
  targets?: Lasting & { down?: boolean; certificates?: boolean; ownNetwork?: boolean }
  /** A tenant's p95 is so many times what it normally is. */
  tenantLatency?: Lasting & { factor?: number; minRequests?: number }
  /** How alerts are put together, and how often they are told again. */
  grouping?: { first?: Duration; then?: Duration; repeat?: Duration }
  /** 16 at most, each by a name of its own; that of its type where none is given. */
  sinks?: SinkOptions[]
}

/** Where people are told. `caFile`: certificates to trust besides the usual ones. */
export type SinkOptions =
  | { type: 'slack'; name?: string; url: Secret; caFile?: string }
  | { type: 'webhook'; name?: string; url: Secret; secret?: Secret; caFile?: string }
  | {
      type: 'email'
      name?: string
      host: string
      port?: number
      encryption?: 'starttls' | 'tls' | 'none'
      username?: string
      password?: Secret
      from: string
      to: string | string[]
      caFile?: string
    }
  | { type: 'log'; name?: string; to?: string; maxSize?: number | string; keep?: number }

/** What is probed, and how often. */
export interface UptimeOptions {
  /** 10,000 at most, each by a name of its own. */
  checks?: CheckOptions[]
  /** Where probes may go besides to public addresses: `'loopback'`, `'private'` and ranges. */
  allow?: string[]
  /** Certificates to trust besides the usual ones. */
  caFile?: string
  /** Probes at a time, 1 to 4,096, and at most a quarter of the file descriptors. Default: 1,024. */
  atOnce?: number
}

/** One check. */
export interface CheckOptions {
  name: string
  /** `https://…`, `http://…`, `tcp://host:port` or `tls://host`. */
  target: string
  /** 1 s to 24 h. Default: 60 s. */
  interval?: Duration
  /** 10 ms to 60 s, no longer than the interval. Default: 10 s. */
  timeout?: Duration
  /** Default: `GET`. */
  method?: 'GET' | 'HEAD' | 'OPTIONS' | 'POST'
  /** Names as they are sent. */
  headers?: Record<string, Secret>
  /** What an HTTP answer must be like, all of it; by default a status of 200 to 299. `json`: JSON pointers, and what must be there. */
  expect?: {
    status?: number | string | (number | string)[]
    contains?: string
    lacks?: string
    json?: Record<string, unknown>
    maxLatency?: Duration
  }
  /** How many are followed: 0 to 10. Default: 10. */
  redirects?: number
  /** Default: true. */
  verifyTls?: boolean
  /** So many days before a certificate expires people are told; 0: never. Default: 14. */
  certificateDays?: number
  /** Results in a row that make a target down (3) or up again (2), and how soon the next one follows meanwhile (10 s). */
  confirm?: { failures?: number; successes?: number; every?: Duration }
  /** It is not probed. */
  paused?: boolean
  /** When failures are no news. */
  maintenance?: Maintenance[]
  tags?: string[]
}

/** When nobody minds that a target is down: once, or every week by a clock with this offset from UTC. */
export type Maintenance =
  | { once: { from: string; to: string } }
  | { weekly: { days: ('mon' | 'tue' | 'wed' | 'thu' | 'fri' | 'sat' | 'sun')[]; at: string; for: Duration; offset?: string } }

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

/** Whom an alert is about. */
export type Subject = 'everyone' | 'own_network' | { endpoint: string } | { tenantId: string } | { target: string }
/** What an alert is about. */
export type Rule =
  | 'verdict_errors'
  | 'own_network'
  | 'target_down'
  | 'verdict_latency'
  | 'tenant_errors'
  | 'tenant_share'
  | 'tenant_latency'
  | 'certificate_expiring'

/** What an alert fired on; it stays as it was then. */
export interface Evidence {
  atMs: number
  windowMs: number
  kind: Kind | null
  what: string
  errors: number
  of: number
  requests: number
  share: number | null
  excessShare: number | null
  rateWithout: number | null
  rateNormal: number | null
  p95Ms: number | null
  normalP95Ms: number | null
  endpoint: string | null
  with: string[]
  chronic: boolean
  /** Of a rule about targets; `url` is without path and query, which may be secrets. */
  target: {
    url: string
    sinceMs: number
    cause: string | null
    httpStatus: number | null
    flapping: boolean
    expiresMs: number | null
  } | null
  note: string | null
}

/** An alert that fires or has fired. Times are Unix ms. */
export interface Alert {
  id: string
  rule: Rule
  subject: Subject
  severity: 'warning' | 'critical'
  firedMs: number
  resolvedMs: number | null
  lastedMs: number
  why: 'recovered' | 'rule_off' | null
  told: boolean
  evidence: Evidence
}

/** An alert that is followed. `known` is false where it stays as it is for want of data; `alert` is there once it has fired. */
export interface FollowedAlert {
  rule: Rule
  subject: Subject
  phase: 'pending' | 'firing' | 'recovering'
  sinceMs: number
  known: boolean
  title: string
  alert: Alert | null
}

/** An alert that is over. */
export interface PastAlert extends Alert {
  title: string
}

/** Whether notices reach people there: `offered` = `delivered` + the sum of `dropped` + `pending`. */
export interface SinkReport {
  name: string
  kind: string
  state: 'ok' | 'retrying' | 'disabled'
  offered: number
  delivered: number
  /** By reason: `combined` (told together with a later one), `expired`, `overflow`, `refused`, `damaged`. */
  dropped: Record<string, number>
  pending: number
  deliveredMs: number | null
  lastError: string | null
}

/** What there is to know about alerts, the same from every process of a host. */
export interface AlertsReport {
  service: string
  /** When the rules were last looked at. */
  asOf: number | null
  /** This process is the one that looks and sends. */
  leader: boolean
  /** The most important first. */
  alerts: FollowedAlert[]
  /** The latest first; 20 at most. */
  recent: PastAlert[]
  counts: { dropped: number; withoutPlace: number; missing: number; notices: number }
  sinks: SinkReport[]
  note: string | null
}

/** How it went with one sink. */
export interface TriedSink {
  name: string
  kind: string
  /** Why it was not taken; `null` when it was. */
  error: string | null
}

/** What is known of a target. */
export type CheckStatus = 'up' | 'down' | 'unknown'

/** Why a result is not up. */
export type Cause =
  | 'dns' | 'blocked' | 'connect' | 'tls' | 'certificate' | 'timeout' | 'protocol' | 'redirects' | 'status' | 'body' | 'json' | 'latency'
  | 'own_network' | 'paused' | 'changed'

/** What one probe found. */
export interface CheckResult {
  atMs: number
  outcome: CheckStatus
  cause: Cause | null
  /** The interval that the check had then. */
  intervalMs: number
  latencyUs: number | null
  status: number | null
}

/** The last so many hours; the four parts are the window, to the millisecond. */
export interface UptimeWindow {
  hours: 24 | 168 | 720 | 2160
  /** up / (up + down), 0 to 1. */
  uptime: number | null
  /** How much of what was to be watched is behind it, 0 to 1. */
  coverage: number | null
  uptimeText: string
  fromMs: number
  toMs: number
  upMs: number
  downMs: number
  maintenanceMs: number
  unknownMs: number
}

/** The last 90 days by UTC, the oldest first, in milliseconds; the last one is not over. A day before the check came to be is unknown. */
export interface Days {
  fromMs: number
  toMs: number
  upMs: number[]
  downMs: number[]
  maintenanceMs: number[]
  unknownMs: number[]
}

/** Where a check stands. */
export interface CheckStanding {
  name: string
  /** Without what may be a secret. */
  target: string
  kind: 'http' | 'tcp' | 'tls'
  /** What is known now. */
  status: CheckStatus
  /** What was confirmed last: an alert about it goes on while the status is unknown. */
  confirmed: CheckStatus
  /** Since when that is so. */
  sinceMs: number
  flapping: boolean
  paused: boolean
  maintenance: boolean
  last: CheckResult | null
  certificateExpiresMs: number | null
  certificateExpiring: boolean
  /** Before that everything is unknown. */
  createdMs: number
  intervalMs: number
  /** Moments at which nobody probed although it was due. */
  missed: number
  tags: string[]
  /** The last 24 h, 7 d, 30 d and 90 d. */
  windows: UptimeWindow[]
  /** With `series` only. */
  days?: Days
}

/** Where all checks stand, the same from every process of a host. */
export interface UptimeReport {
  service: string
  asOf: number
  /** This process is the one that probes. */
  leader: boolean
  /** Since when the prober's own network is down: what fails meanwhile says nothing of a target. */
  networkDownSinceMs: number | null
  counts: { down: number; unknown: number; up: number }
  /** Those that are down first, then those of which nothing is known. */
  checks: CheckStanding[]
  /** Why it may be stale. */
  note: string | null
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
  /**
   * What there is to know about alerts; `null` where none are configured.
   *
   * @throws {Error} with the reason, when nobody can say now: it is closed, or its thread has not answered within 250 ms.
   */
  alerts(): AlertsReport | null
  /**
   * Where uptime checks stand; `null` where none are configured. With `series` also what each was on each of the last 90 days.
   *
   * @throws {Error} with the reason, when nobody can say now: it is closed, or its thread has not answered within 250 ms.
   */
  uptime(query?: { series?: boolean }): UptimeReport | null
  /**
   * Sends an alert that is about nothing to every sink, or to one by its name, and waits for how that goes, 10 s unless told otherwise
   * and a minute at most; the event loop goes on meanwhile. Rejects with a {@link ConfigError} where there is no such sink, and with
   * an `Error`, with the reason, when nobody could send.
   */
  testAlert(sink?: string | null, options?: { timeout?: Duration }): Promise<TriedSink[]>
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
