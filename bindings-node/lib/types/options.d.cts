/** Seconds, or text with a unit: `'10m'`, `'90s'`, `'250ms'`. */
export type Duration = number | string

/**
 * Options of the constructor. An option that is missing comes from the environment (`SENTINEL_WINDOW` for `window`), and has its default
 * where the environment does not set it.
 *
 * @example
 * new Sentinel({ window: '10m', errors: '4xx,5xx', service: 'checkout' })
 */
export interface Options {
  /** The time that reports look back: 30 s to 24 h, a multiple of `slot`, at most 720 slots. Default: 10 min. */
  window?: Duration
  /** The step in which the window moves: 1 to 60 s, whole seconds. Default: 10 s. */
  slot?: Duration
  /** Memory that the sentinel may use: 4 MiB to 64 GiB, in bytes or as text such as `'64MiB'`. Default: 64 MiB. */
  budget?: number | string
  /** Statuses that count as errors: `'5xx'` or `'4xx,5xx'`. Default: `'5xx'`. */
  errors?: string
  /** Tenants that each slot keeps for certain, for each of requests, errors and slow requests: 8 to 16,384. Default: 2,048. */
  places?: number
  /** Route templates that are told apart: 1 to 4,000. All others share the endpoint `other`. Default: 1,024. */
  maxEndpoints?: number
  /** Tables that threads are spread over: 1 to 64, a power of two. Default: by the number of processors. */
  stripes?: number
  /** A request is slow when it takes longer than this: 1 µs to 71 min. Default: the latency that 5 % of all requests exceed. */
  slowAfter?: Duration
  /** The token that the admin view asks for: 8 to 1,024 visible ASCII characters. Default: the view shows nothing. */
  adminToken?: string
  /**
   * The name under which the processes of a service on this host answer as one: 1 to 64 of `A-Z a-z 0-9 . _ -`, not beginning with a dot
   * (`SENTINEL_SERVICE`). Default: each process answers for itself, and no thread is started.
   */
  service?: string
  /** The directory through which these processes share, an absolute path (`SENTINEL_DIR`). Default: a private directory in memory. */
  dir?: string
  /** The path of a `sentinel.toml` with the tables `[exporter]`, `[alerts]` and `[uptime]`. The file is read again when it changes. */
  config?: string
  /**
   * Alert rules and sinks, in place of `[alerts]` in the file; needs a `service`. Default: no alerts. `SENTINEL_SLACK_URL` and
   * `SENTINEL_WEBHOOK_URL` (with `SENTINEL_WEBHOOK_SECRET`) each add a sink.
   */
  alerts?: AlertOptions
  /** Uptime checks, in place of `[uptime]` in the file; needs a `service`, one process of which probes. Default: no checks. */
  uptime?: UptimeOptions
  /**
   * The directory for everything that must survive a restart: firing alerts, messages that wait, 90 days of uptime. An absolute path
   * (`SENTINEL_STATE_DIR`). Default: `dir`, which in memory survives a restart of the service but none of the machine.
   */
  stateDir?: string
}

/** A text that no log and no error shows: the text itself, or the variable or file that has it. */
export type Secret = string | { env: string } | { file: string }

/** The time for which the condition of an alert rule must hold before the alert fires, and be gone before the alert is over. */
export interface Lasting {
  /** 0 to 24 h. Default: 30 s for rules about a tenant, 0 for verdicts and targets, which are confirmed before. */
  for?: Duration
  /** 0 to 24 h. Default: 2 min; 0 for targets. */
  keepFiringFor?: Duration
}

/** Alert rules, and the sinks that alerts are sent to. */
export interface AlertOptions {
  /** The verdicts; on by default, for all `kinds`. */
  verdict?: Lasting & { errors?: boolean; latency?: boolean; kinds?: ('one_tenant' | 'few_tenants' | 'one_endpoint' | 'everyone')[] }
  /** A tenant has at least `atLeast` errors in the window: 1 or more, default 100. Over at half of that. Off by default. */
  tenantErrors?: Lasting & { atLeast?: number }
  /** A tenant certainly has more than the share `above` of all failures: 0.01 to 0.99, default 0.5. Off by default. */
  tenantShare?: Lasting & { above?: number }
  /** Uptime checks: targets that are down, certificates that expire, this host's own network. On by default. */
  targets?: Lasting & { down?: boolean; certificates?: boolean; ownNetwork?: boolean }
  /**
   * A tenant's p95 is `factor` times its normal p95: 2 to 1,000, default 3; from `minRequests` requests in the window on: 20 or more,
   * default 100. Off by default.
   */
  tenantLatency?: Lasting & { factor?: number; minRequests?: number }
  /**
   * The times by which alerts are combined into messages: the wait for further alerts before the `first` message (0 to 10 min, default
   * 15 s), the time between messages while any alert fires (`then`, 0 to 24 h, default 5 min), and the time after which a firing alert
   * is sent again (`repeat`, 5 min to 7 days, default 4 h).
   */
  grouping?: { first?: Duration; then?: Duration; repeat?: Duration }
  /** At most 16 sinks with different names. The name of a sink is its type by default. */
  sinks?: SinkOptions[]
}

/**
 * A sink, to which alerts are sent. `name`: 1 to 64 of `A-Z a-z 0-9 . _ -`. `caFile`: certificates to trust besides the public ones.
 * `webhook` signs its messages with `secret`: `whsec_` and 24 to 64 bytes in base64. `email` has 1 to 50 recipients `to`, and port 587 by
 * default, 465 with `tls`, 25 with `none`. `log` writes lines of JSON `to` a path or `'stderr'` (default), rotates a file at `maxSize`
 * bytes (64 KiB to 1 TiB, default 10 MiB) and keeps `keep` old files (1 to 100, default 3).
 */
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

/** Uptime checks, and the addresses that they may reach. */
export interface UptimeOptions {
  /** At most 10,000 checks with different names. */
  checks?: CheckOptions[]
  /** Addresses that may be probed besides public ones: `'loopback'`, `'private'`, or ranges such as `'10.0.0.0/8'`. Default: none. */
  allow?: string[]
  /** The path of certificates to trust besides the public ones. */
  caFile?: string
  /** Probes at the same time: 1 to 4,096, and at most a quarter of the process's file descriptors. Default: 1,024. */
  atOnce?: number
}

/** An uptime check of one target. */
export interface CheckOptions {
  /** The name in messages and over restarts: 1 to 64 bytes, no control characters. */
  name: string
  /** `https://…`, `http://…`, `tcp://host:port` or `tls://host`. */
  target: string
  /** The time between probes: 1 s to 24 h. Default: 60 s. */
  interval?: Duration
  /** The time for a whole probe: 10 ms to 60 s, no longer than the interval. Default: 10 s, or the interval if that is shorter. */
  timeout?: Duration
  /** HTTP only. Default: `GET`. */
  method?: 'GET' | 'HEAD' | 'OPTIONS' | 'POST'
  /** HTTP only: at most 32 headers with values of at most 4,096 bytes. Names are sent as they are written here. */
  headers?: Record<string, Secret>
  /**
   * Conditions of an HTTP answer, all of which must hold. `status`: 200 to 299 by default. `contains` and `lacks`: text of the body, 1 to
   * 1,024 bytes. `json`: at most 16 JSON pointers with their values. `maxLatency`: 1 ms to the timeout.
   */
  expect?: {
    status?: number | string | (number | string)[]
    contains?: string
    lacks?: string
    json?: Record<string, unknown>
    maxLatency?: Duration
  }
  /** Redirects to follow: 0 to 10. Default: 10. */
  redirects?: number
  /** Whether an invalid certificate is a failure. Default: true. */
  verifyTls?: boolean
  /** Days before a certificate expires at which an alert fires: 1 to 365, or 0 for never. Default: 14. */
  certificateDays?: number
  /**
   * Results in a row that make a target down (`failures`, 1 to 10, default 3) or up again (`successes`, 1 to 10, default 2), and the time
   * between probes meanwhile (`every`, 100 ms to 10 s, default 10 s).
   */
  confirm?: { failures?: number; successes?: number; every?: Duration }
  /** A paused check is not probed. */
  paused?: boolean
  /** At most 16 windows in which failures do not count. */
  maintenance?: Maintenance[]
  /** At most 16 words for people, of 1 to 64 bytes. */
  tags?: string[]
}

/** A maintenance window: once between two moments, or every week at a time of day with this offset from UTC. */
export type Maintenance =
  | { once: { from: string; to: string } }
  | { weekly: { days: ('mon' | 'tue' | 'wed' | 'thu' | 'fri' | 'sat' | 'sun')[]; at: string; for: Duration; offset?: string } }
