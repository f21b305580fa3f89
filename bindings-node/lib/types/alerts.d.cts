import type { Kind } from './report.cjs'

/** The subject of an alert. */
export type Subject = 'everyone' | 'own_network' | { endpoint: string } | { tenantId: string } | { target: string }
/** The rule of an alert. */
export type Rule =
  | 'verdict_errors'
  | 'own_network'
  | 'target_down'
  | 'verdict_latency'
  | 'tenant_errors'
  | 'tenant_share'
  | 'tenant_latency'
  | 'certificate_expiring'

/** The measurements that an alert fired on; they do not change afterwards. Shares and rates are 0 to 1. */
export interface Evidence {
  /** Unix ms. */
  atMs: number
  /** The window that was judged, ms. */
  windowMs: number
  /** Rules about verdicts: the kind of the verdict. */
  kind: Kind | null
  /** The name of the counted failures: `5xx`, or `slow requests`. */
  what: string
  /** Failures of the subject. */
  errors: number
  /** Failures of all tenants. */
  of: number
  /** Requests of the tenant in the window; 0 for an alert about no tenant. */
  requests: number
  /** The subject's share of all failures. */
  share: number | null
  /** The subject's share of the failures beyond the expected ones. */
  excessShare: number | null
  /** The rate without the accused tenants; for `everyone`, the rate of all tenants. */
  rateWithout: number | null
  /** The rate that is normal there. */
  rateNormal: number | null
  p95Ms: number | null
  normalP95Ms: number | null
  endpoint: string | null
  /** Further tenants that the same verdict accuses. */
  with: string[]
  /** Whether the tenant has always failed like this. */
  chronic: boolean
  /** Rules about targets. `url` has neither path nor query, which may be secrets; times are Unix ms. */
  target: {
    url: string
    sinceMs: number
    cause: string | null
    httpStatus: number | null
    flapping: boolean
    expiresMs: number | null
  } | null
  /** Counts that were missing when the rule was evaluated. */
  note: string | null
}

/** An alert that fires or has fired. */
export interface Alert {
  id: string
  rule: Rule
  subject: Subject
  severity: 'warning' | 'critical'
  /** Unix ms. */
  firedMs: number
  /** Unix ms; `null` while the alert fires. */
  resolvedMs: number | null
  /** The time that the alert has been firing, ms. */
  lastedMs: number
  /** Why the alert is over: the condition is gone, or the rule was switched off. */
  why: 'recovered' | 'rule_off' | null
  /** Whether a message about it was sent. */
  told: boolean
  evidence: Evidence
}

/** An alert that is followed now. */
export interface FollowedAlert {
  rule: Rule
  subject: Subject
  phase: 'pending' | 'firing' | 'recovering'
  /** Since when the alert is in this phase, Unix ms. */
  sinceMs: number
  /** Whether the last evaluation had enough data; without, the alert stays in its phase. */
  known: boolean
  /** The alert as one line. */
  title: string
  /** `null` until the alert has fired. */
  alert: Alert | null
}

/** An alert that is over. */
export interface PastAlert extends Alert {
  /** The alert as one line. */
  title: string
}

/** The messages of one sink: `offered` = `delivered` + the sum of `dropped` + `pending`. */
export interface SinkReport {
  name: string
  kind: string
  /** `retrying`: the last attempt failed. `disabled`: the sink refused a message for good, and gets no more. */
  state: 'ok' | 'retrying' | 'disabled'
  offered: number
  delivered: number
  /** By reason: `combined` (sent together with a later message), `expired`, `overflow`, `refused`, `damaged`. */
  dropped: Record<string, number>
  pending: number
  /** When the sink last took a message, Unix ms. */
  deliveredMs: number | null
  lastError: string | null
}

/** The state of alerts, the same from every process of a host. */
export interface AlertsReport {
  service: string
  /** When the rules were last evaluated, Unix ms. */
  asOf: number | null
  /** Whether this process evaluates the rules and sends the messages. */
  leader: boolean
  /** The most important first. */
  alerts: FollowedAlert[]
  /** The latest first; at most 20. */
  recent: PastAlert[]
  /**
   * `dropped`: alerts that were not followed for want of a place. `withoutPlace`: those of them whose condition held at the last
   * evaluation. `missing`: evaluations that were missing or too old. `notices`: messages so far.
   */
  counts: { dropped: number; withoutPlace: number; missing: number; notices: number }
  sinks: SinkReport[]
  /** Why the list may be incomplete. */
  note: string | null
}

/** The result of `testAlert()` for one sink. */
export interface TriedSink {
  name: string
  kind: string
  /** Why the sink did not take the message; `null` when it did. */
  error: string | null
}
