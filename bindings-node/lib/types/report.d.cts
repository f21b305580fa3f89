import type { Duration } from './options.cjs'

/** The rankings of a report. */
export type By = 'errors' | 'error_rate' | 'latency' | 'load' | 'requests'
/** The kinds of a verdict: nothing is elevated, or the cause is one tenant, two to five, one endpoint, everyone, or unclear. */
export type Kind = 'quiet' | 'one_tenant' | 'few_tenants' | 'one_endpoint' | 'everyone' | 'unclear'
/** The processes that an answer covers: this one, or all processes of the service on this host. */
export type Scope = 'process' | 'host'

/** The options of `report()`. */
export interface Query {
  /** Default: `errors`. */
  by?: By
  /** Tenants listed, at most. Default: 10. */
  limit?: number
  /** A trailing part of the window, rounded up to whole slots. Default: the whole window. */
  window?: Duration
  /** Whether to add requests and errors slot by slot. Default: false. */
  series?: boolean
  /** Default: `host` where it can answer, else `process`. */
  scope?: Scope
}

/** The error of each count: `count <= true <= count + bound`. */
export interface Bound {
  requests: number
  errors: number
  slow: number
}

/** The endpoint with most of a tenant's errors. `errors` is a lower bound where `exact` is false. */
export interface TopEndpoint {
  endpoint: string
  errors: number
  exact: boolean
}

/** Counts slot by slot, oldest first. The last slot is still open. */
export interface Series {
  /** Start of the first slot, Unix ms. */
  fromMs: number
  /** Length of a slot, ms. */
  slotMs: number
  requests: number[]
  errors: number[]
}

/** The cause of elevated errors or latency, and the evidence. Fields without a meaning for this kind are `null`. */
export interface Verdict {
  kind: Kind
  /** The culprits, ordered by excess; at most five. */
  tenants: string[]
  /** The endpoint that fails. */
  endpoint: string | null
  /** The window that was judged, ms. */
  windowMs: number | null
  /** The culprits' share of all errors (or slow requests) in that window, 0 to 1. */
  share: number | null
  /** The culprits' share of the errors beyond the expected ones, 0 to 1. */
  excessShare: number | null
  /** Errors (or slow requests) of the culprits. */
  errors: number | null
  /** Errors (or slow requests) of all tenants. */
  of: number | null
  /** The error rate without the culprits, 0 to 1; for `everyone`, the rate of all tenants. */
  rateWithout: number | null
  /** The rate that is normal there, 0 to 1. */
  rateNormal: number | null
  /** Since when the verdict is shown, Unix ms. */
  sinceMs: number | null
  /** Whether the last 10 seconds show it too. */
  active: boolean
  /** The verdict as one sentence. */
  text: string
}

/** All tenants together. Percentiles are milliseconds, within 3.2 % of the exact ones. */
export interface Totals {
  requests: number
  errors: number
  slow: number
  /** Errors a request, 0 to 1. */
  errorRate: number | null
  /** Requests with the status 499: the client went away. */
  aborted: number
  /** Tenants that have a row. */
  tenants: number
  p50Ms: number | null
  p95Ms: number | null
  p99Ms: number | null
}

/** One tenant of a report. Shares and rates are 0 to 1; a number that has no meaning yet is `null`, never 0. */
export interface TenantRow {
  /** The id with control characters escaped; `unattributed` for requests without a tenant. */
  tenantId: string
  requests: number
  errors: number
  slow: number
  /** Errors a request. */
  errorRate: number | null
  /** Share of all errors. */
  errorShare: number | null
  /** Share of the errors beyond the expected ones. */
  excessShare: number | null
  /** Share of all requests. */
  requestShare: number | null
  bound: Bound
  /** Whether the verdict on errors accuses this tenant. */
  culprit: boolean
  /** Whether this tenant has always failed like this; it is listed, not accused. */
  chronic: boolean
  p50Ms: number | null
  p95Ms: number | null
  p99Ms: number | null
  /** Whether memory was short: the percentiles are within 6.3 % of the exact ones, not 3.2 %. */
  latencyCoarse: boolean
  /** The tenant's p95 as a multiple of its own normal p95. */
  latencyDeviation: number | null
  /** Share of the time that was spent on requests, requests in flight included. */
  loadShare: number | null
  /** Requests that have begun and not ended. */
  inFlight: number
  /** Age of the oldest of them, ms. */
  oldestInFlightMs: number | null
  /** `null` without errors. */
  topEndpoint: TopEndpoint | null
  /** With the option `series` only. */
  series?: Series
}

/** All tenants without a row, together. `bound`: the most that any single one of them may have. */
export interface Tail extends Bound {
  bound: Bound
}

/** Counters since the process started: `offered` = `accepted` + the sum of `dropped`; `accepted` = `inWindow` + `expired`. */
export interface Stats {
  /** Events that were recorded. */
  offered: number
  /** Events that were counted. */
  accepted: number
  /**
   * Events that were not counted. `status`: outside 100 to 599. `late`: older than the window. `noMemory`: late, and no memory for late
   * events. `internal`: lost to a defect of this package, in this thread.
   */
  dropped: { status: number; late: number; noMemory: number; internal: number }
  /**
   * Events that were counted with a change. `latency`: NaN, negative or infinite, counted without it. `latencyClamped`: lowered to 71 min.
   * `future`: more than a slot ahead, counted as now. `tenantTruncated`: the id was longer than 128 bytes. `endpointOther`: counted as
   * `other`. `latencyUnplaced`: counted in the totals' percentiles only, for want of memory.
   */
  adjusted: {
    latency: number
    latencyClamped: number
    future: number
    tenantTruncated: number
    endpointOther: number
    latencyUnplaced: number
  }
  /** Accepted events that the window holds now. */
  inWindow: number
  /** Accepted events that have left the window. */
  expired: number
  /** Blocks of other processes in the window. */
  foreignBlocks: number
  /** Requests that were not shown as in flight, because too many others were; they are counted when they end. */
  flightsUnseen: number
  /** Failures of adapters and values of a wrong type; the request went on. */
  adapterFailures: number
  /** Baselines of tenants that were dropped, because there are more tenants than the budget holds. */
  tenantsLetGo: number
  /** Slots whose percentiles were made coarse to save memory. */
  blocksCoarsened: number
  /** Slots that lost their smallest tenants to save memory. */
  blocksPruned: number
}

/** The state of sharing with other processes of the host. */
export interface Sharing {
  scope: Scope
  /** Whether the thread that shares runs in this process. */
  running: boolean
  /** Whether this process evaluates alerts and probes targets for all of them. */
  leader: boolean
  /** Processes that are alive, this one included. */
  sources: number
  /** When this process last published its counts, Unix ms. */
  publishedMs: number | null
  /** When this process last read the counts of the others, Unix ms. */
  collectedMs: number | null
  /** Actions that failed and data that was refused, by reason. */
  failures: Record<string, number>
  lastError: string | null
}

/** Memory in bytes. */
export interface Memory {
  used: number
  budget: number
}

/** The ranking of tenants and the two verdicts. */
export interface Report {
  /** The moment of the report, Unix ms. */
  asOf: number
  /** Start of the ranked window, Unix ms. */
  fromMs: number
  /** End of the ranked window, Unix ms. */
  toMs: number
  /** Length of the ranked window without the open slot, ms. */
  windowMs: number
  /** The source of expected rates: each tenant's `own` past, or, with less than a minute of past, mostly one small rate (`cold`). */
  baseline: 'own' | 'cold'
  scope: Scope
  /** Why a wider scope cannot answer, or what this one leaves out. */
  scopeNote: string | null
  /** Processes whose counts are included. */
  sources: number
  /** Whether every count is exact, or within the `bound` of its row. */
  mode: 'exact' | 'bounded'
  totals: Totals
  verdict: Verdict
  latencyVerdict: Verdict
  by: By
  /** Statuses that count as errors: `5xx`, `4xx+5xx`. */
  errors: string
  tenants: TenantRow[]
  tail: Tail
  stats: Stats
  /** All tenants together, with the option `series` only. */
  series?: Series
}

/** A tenant's counts at one endpoint. */
export interface EndpointCounts {
  endpoint: string
  requests: number
  errors: number
}

/** One tenant in detail: its row, and its endpoints ordered by errors and then by requests. Times are Unix ms. */
export interface TenantReport extends TenantRow {
  scope: Scope
  asOf: number
  fromMs: number
  toMs: number
  endpoints: EndpointCounts[]
}
