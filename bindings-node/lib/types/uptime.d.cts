/** The state of a target. */
export type CheckStatus = 'up' | 'down' | 'unknown'

/** Why a result is not `up`. */
export type Cause =
  | 'dns' | 'blocked' | 'connect' | 'tls' | 'certificate' | 'timeout' | 'protocol' | 'redirects' | 'status' | 'body' | 'json' | 'latency'
  | 'own_network' | 'paused' | 'changed'

/** The result of one probe. */
export interface CheckResult {
  /** When the probe began, Unix ms. */
  atMs: number
  outcome: CheckStatus
  cause: Cause | null
  /** The interval of the check at that time, ms. */
  intervalMs: number
  latencyUs: number | null
  /** The HTTP status. */
  status: number | null
}

/** The availability of a target in a window. The four durations, in milliseconds, add up to the window. */
export interface UptimeWindow {
  hours: 24 | 168 | 720 | 2160
  /** up / (up + down), 0 to 1. */
  uptime: number | null
  /** (up + down) / (window - maintenance), 0 to 1: the part of the time for which the state is known. */
  coverage: number | null
  /** `uptime` as a percentage, rounded down. */
  uptimeText: string
  fromMs: number
  toMs: number
  upMs: number
  downMs: number
  maintenanceMs: number
  unknownMs: number
}

/** The last 90 days in UTC, oldest first, in milliseconds; the last day is not over. The time before the check was created is unknown. */
export interface Days {
  fromMs: number
  toMs: number
  upMs: number[]
  downMs: number[]
  maintenanceMs: number[]
  unknownMs: number[]
}

/** The state of a check. */
export interface CheckStanding {
  name: string
  /** The target without its path and query, which may be secrets. */
  target: string
  kind: 'http' | 'tcp' | 'tls'
  /** The state now; `unknown` without recent results. */
  status: CheckStatus
  /** The state that was last confirmed; an alert about it goes on while `status` is unknown. */
  confirmed: CheckStatus
  /** Since when `confirmed` holds, Unix ms. */
  sinceMs: number
  /** Whether the target goes up and down so often that single changes send no messages. */
  flapping: boolean
  paused: boolean
  /** Whether a maintenance window holds now. */
  maintenance: boolean
  last: CheckResult | null
  /** Unix ms. */
  certificateExpiresMs: number | null
  certificateExpiring: boolean
  /** When the check was created, Unix ms. */
  createdMs: number
  intervalMs: number
  /** Probes that were due and did not happen. */
  missed: number
  tags: string[]
  /** The last 24 h, 7 d, 30 d and 90 d. */
  windows: UptimeWindow[]
  /** With the option `series` only. */
  days?: Days
}

/** The state of all checks, the same from every process of a host. */
export interface UptimeReport {
  service: string
  /** Unix ms. */
  asOf: number
  /** Whether this process probes. */
  leader: boolean
  /** Since when this host's own network is down, Unix ms: failures since then say nothing about the targets. */
  networkDownSinceMs: number | null
  counts: { down: number; unknown: number; up: number }
  /** Checks that are down first, then unknown ones, then checks that are up; each group by name. */
  checks: CheckStanding[]
  /** Why the report may be stale or incomplete. */
  note: string | null
}
