"""The shapes of what goes in and what comes out. A number that has no meaning yet is ``None``, never 0."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal, TypeAlias, TypedDict
from uuid import UUID

TenantId: TypeAlias = str | bytes | bytearray | int | UUID | None
"""Whose a request is. ``None`` and the empty id are nobody: ``unattributed``."""

Duration: TypeAlias = str | float | timedelta
"""Seconds, text such as ``"10m"`` or ``"90s"``, or a timedelta."""

Scope: TypeAlias = Literal["process", "host"]
"""Whose events: this process, or all processes of the service on this host."""

By: TypeAlias = Literal["errors", "error_rate", "latency", "load", "requests"]
"""What a report ranks by."""

Kind: TypeAlias = Literal["quiet", "one_tenant", "few_tenants", "one_endpoint", "everyone", "unclear"]
"""What a verdict says."""

TenantFrom: TypeAlias = str | Callable[[Any], Any] | None
"""Where an adapter looks for the tenant: the name of a header, or a function (async ones too) of the request."""


class Bound(TypedDict):
    """What each count may fall short by: ``count <= true <= count + bound``."""

    requests: int
    errors: int
    slow: int


class TopEndpoint(TypedDict):
    """Where a tenant's errors are. ``exact`` is false where ``errors`` is a lower bound."""

    endpoint: str
    errors: int
    exact: bool


class Series(TypedDict):
    """Counts slot by slot, the first one from ``from_ms`` (Unix ms)."""

    from_ms: int
    slot_ms: int
    requests: list[int]
    errors: list[int]


class Verdict(TypedDict):
    """One, a few, an endpoint, everyone, or unclear; with its evidence. Shares and rates are fractions of 1."""

    kind: Kind
    tenants: list[str]
    endpoint: str | None
    window_ms: int | None
    share: float | None
    excess_share: float | None
    errors: int | None
    of: int | None
    rate_without: float | None
    rate_normal: float | None
    since_ms: int | None
    active: bool
    text: str


class Totals(TypedDict):
    """All tenants together. Percentiles are milliseconds."""

    requests: int
    errors: int
    slow: int
    error_rate: float | None
    aborted: int
    tenants: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class _TenantRow(TypedDict):
    tenant_id: str
    requests: int
    errors: int
    slow: int
    error_rate: float | None
    error_share: float | None
    excess_share: float | None
    request_share: float | None
    bound: Bound
    culprit: bool
    chronic: bool
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    latency_coarse: bool
    latency_deviation: float | None
    load_share: float | None
    in_flight: int
    oldest_in_flight_ms: int | None
    top_endpoint: TopEndpoint | None


class TenantRow(_TenantRow, total=False):
    """One tenant of a report. ``series`` is there when it was asked for."""

    series: Series


class Tail(TypedDict):
    """Tenants that share a row because there were too many, and what each count of a report may fall short by."""

    requests: int
    errors: int
    slow: int
    bound: Bound


class Dropped(TypedDict):
    """Why events were not counted."""

    status: int
    late: int
    no_memory: int


class Adjusted(TypedDict):
    """What was adjusted in events that were counted."""

    latency: int
    latency_clamped: int
    future: int
    tenant_truncated: int
    endpoint_other: int
    latency_unplaced: int


class Stats(TypedDict):
    """The ledger: ``offered`` = ``accepted`` + the sum of ``dropped``; ``accepted`` = ``in_window`` + ``expired``."""

    offered: int
    accepted: int
    dropped: Dropped
    adjusted: Adjusted
    in_window: int
    expired: int
    foreign_blocks: int
    flights_unseen: int
    adapter_failures: int
    tenants_let_go: int
    blocks_coarsened: int
    blocks_pruned: int


class Sharing(TypedDict):
    """How sharing with other processes goes. Times are Unix ms; ``failures`` counts what was not done or not believed."""

    scope: Scope
    running: bool
    leader: bool
    sources: int
    published_ms: int | None
    collected_ms: int | None
    failures: dict[str, int]
    last_error: str | None


class SecretEnv(TypedDict):
    """A text that is never shown, from a variable of the environment."""

    env: str


class SecretFile(TypedDict):
    """A text that is never shown, from a file."""

    file: str


Secret: TypeAlias = str | SecretEnv | SecretFile
"""A text that is never shown: itself, or where it is."""

# With keywords as names: how long the condition must be there.
Verdicts = TypedDict(
    "Verdicts",
    {
        "errors": bool,
        "latency": bool,
        "kinds": list[Literal["one_tenant", "few_tenants", "one_endpoint", "everyone"]],
        "for": str | float,
        "keep_firing_for": str | float,
    },
    total=False,
)
"""Alerts about the verdicts."""

TenantErrors = TypedDict("TenantErrors", {"at_least": int, "for": str | float, "keep_firing_for": str | float}, total=False)
"""A tenant has at least so many errors in the window; over at half of that."""

TenantShare = TypedDict("TenantShare", {"above": float, "for": str | float, "keep_firing_for": str | float}, total=False)
"""A tenant has at least such a share (0.01 to 0.99) of all failures, for certain."""

TenantLatency = TypedDict(
    "TenantLatency",
    {"factor": float, "min_requests": int, "for": str | float, "keep_firing_for": str | float},
    total=False,
)
"""A tenant's p95 is so many times what it normally is."""


class GroupingOptions(TypedDict, total=False):
    """How alerts are put together, and how often they are told again."""

    first: str | float
    then: str | float
    repeat: str | float


class SlackSink(TypedDict, total=False):
    """An incoming webhook of Slack. ``type`` and ``url`` are needed."""

    type: Literal["slack"]
    name: str
    url: Secret
    ca_file: str


class WebhookSink(TypedDict, total=False):
    """Any address that takes a POST. ``type`` and ``url`` are needed."""

    type: Literal["webhook"]
    name: str
    url: Secret
    secret: Secret
    ca_file: str


# "from" is a keyword.
EmailSink = TypedDict(
    "EmailSink",
    {
        "type": Literal["email"],
        "name": str,
        "host": str,
        "port": int,
        "encryption": Literal["starttls", "tls", "none"],
        "username": str,
        "password": Secret,
        "from": str,
        "to": str | list[str],
        "ca_file": str,
    },
    total=False,
)
"""A mail server. ``type``, ``host``, ``from`` and ``to`` are needed."""


class LogSink(TypedDict, total=False):
    """Lines of JSON, on stderr or in a file. ``type`` is needed."""

    type: Literal["log"]
    name: str
    to: str
    max_size: int | str
    keep: int


TargetRules = TypedDict(
    "TargetRules",
    {
        "down": bool,
        "certificates": bool,
        "own_network": bool,
        "for": float | str,
        "keep_firing_for": float | str,
    },
    total=False,
)
"""Alerts about uptime checks."""


class AlertOptions(TypedDict, total=False):
    """Which alerts there are, and where people are told. Durations are seconds or text."""

    verdict: Verdicts
    targets: TargetRules
    tenant_errors: TenantErrors
    tenant_share: TenantShare
    tenant_latency: TenantLatency
    grouping: GroupingOptions
    sinks: list[SlackSink | WebhookSink | EmailSink | LogSink]


Seconds: TypeAlias = str | float
"""A duration below an option: seconds, or text such as ``"10m"``."""


class ExpectOptions(TypedDict, total=False):
    """What an HTTP answer must be like, all of it. ``json``: JSON pointers, and what must be there."""

    status: int | str | list[int | str]
    contains: str
    lacks: str
    json: dict[str, Any]
    max_latency: Seconds


class ConfirmOptions(TypedDict, total=False):
    """How many results in a row make a target down, or up again, and how soon the next one follows meanwhile."""

    failures: int
    successes: int
    every: Seconds


# "from" and "for" are keywords.
Once = TypedDict("Once", {"from": str, "to": str})
"""From one moment to another, each such as ``"2026-03-01T22:00+02:00"``."""

_Weekly = TypedDict(
    "_Weekly", {"days": list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]], "at": str, "for": Seconds}
)


class Weekly(_Weekly, total=False):
    """On these days of every week, by a clock with this ``offset`` from UTC (``"+02:00"``)."""

    offset: str


class MaintenanceOnce(TypedDict):
    """Once nobody minds."""

    once: Once


class MaintenanceWeekly(TypedDict):
    """Every week nobody minds."""

    weekly: Weekly


class _CheckOptions(TypedDict):
    name: str
    target: str


class CheckOptions(_CheckOptions, total=False):
    """One check: ``name`` and ``target`` (``https://…``, ``http://…``, ``tcp://…`` or ``tls://…``) are needed."""

    interval: Seconds
    timeout: Seconds
    method: Literal["GET", "HEAD", "OPTIONS", "POST"]
    headers: dict[str, str | SecretEnv | SecretFile]
    expect: ExpectOptions
    redirects: int
    verify_tls: bool
    certificate_days: int
    confirm: ConfirmOptions
    paused: bool
    maintenance: list[MaintenanceOnce | MaintenanceWeekly]
    tags: list[str]


class UptimeOptions(TypedDict, total=False):
    """What is probed, and how often. ``allow``: ``"loopback"``, ``"private"`` and ranges, besides public addresses."""

    checks: list[CheckOptions]
    allow: list[str]
    ca_file: str
    at_once: int


Rule: TypeAlias = Literal[
    "verdict_errors",
    "own_network",
    "target_down",
    "verdict_latency",
    "tenant_errors",
    "tenant_share",
    "tenant_latency",
    "certificate_expiring",
]
"""What an alert is about."""


class TenantSubject(TypedDict):
    """An alert is about a tenant."""

    tenant_id: str


class EndpointSubject(TypedDict):
    """An alert is about an endpoint."""

    endpoint: str


class TargetSubject(TypedDict):
    """An alert is about an uptime check."""

    target: str


Subject: TypeAlias = Literal["everyone", "own_network"] | TenantSubject | EndpointSubject | TargetSubject
"""Whom an alert is about."""


class TargetEvidence(TypedDict):
    """What is known of a target; ``url`` is without path and query, which may be secrets. Times are Unix ms."""

    url: str
    since_ms: int
    cause: str | None
    http_status: int | None
    flapping: bool
    expires_ms: int | None


Evidence = TypedDict(
    "Evidence",
    {
        "at_ms": int,
        "window_ms": int,
        "kind": Kind | None,
        "what": str,
        "errors": int,
        "of": int,
        "requests": int,
        "share": float | None,
        "excess_share": float | None,
        "rate_without": float | None,
        "rate_normal": float | None,
        "p95_ms": float | None,
        "normal_p95_ms": float | None,
        "endpoint": str | None,
        "with": list[str],
        "chronic": bool,
        "target": TargetEvidence | None,
        "note": str | None,
    },
)
"""What an alert fired on; it stays as it was then."""


class Alert(TypedDict):
    """An alert that fires or has fired. Times are Unix ms."""

    id: str
    rule: Rule
    subject: Subject
    severity: Literal["warning", "critical"]
    fired_ms: int
    resolved_ms: int | None
    lasted_ms: int
    why: Literal["recovered", "rule_off"] | None
    told: bool
    evidence: Evidence


class FollowedAlert(TypedDict):
    """An alert that is followed. ``known`` is false while there is no data to judge it by; ``alert`` is there once it fires."""

    rule: Rule
    subject: Subject
    phase: Literal["pending", "firing", "recovering"]
    since_ms: int
    known: bool
    title: str
    alert: Alert | None


class PastAlert(Alert):
    """An alert that is over."""

    title: str


class AlertCounts(TypedDict):
    """What was not followed."""

    dropped: int
    without_place: int
    missing: int
    notices: int


class SinkReport(TypedDict):
    """Whether notices reach people there: ``offered`` = ``delivered`` + the sum of ``dropped``, by reason, + ``pending``."""

    name: str
    kind: str
    state: Literal["ok", "retrying", "disabled"]
    offered: int
    delivered: int
    dropped: dict[str, int]
    pending: int
    delivered_ms: int | None
    last_error: str | None


class AlertsReport(TypedDict):
    """What there is to know about alerts, the same from every process of a host; ``leader``: this one looks and sends."""

    service: str
    as_of: int | None
    leader: bool
    alerts: list[FollowedAlert]
    recent: list[PastAlert]
    counts: AlertCounts
    sinks: list[SinkReport]
    note: str | None


class TriedSink(TypedDict):
    """How it went with one sink; ``error`` is why it was not taken."""

    name: str
    kind: str
    error: str | None


CheckStatus: TypeAlias = Literal["up", "down", "unknown"]
"""What is known of a target now."""

Cause: TypeAlias = Literal[
    "dns",
    "blocked",
    "connect",
    "tls",
    "certificate",
    "timeout",
    "protocol",
    "redirects",
    "status",
    "body",
    "json",
    "latency",
    "own_network",
    "paused",
    "changed",
]
"""Why a result is not up."""


class CheckResult(TypedDict):
    """What one probe found, ``interval_ms`` being the interval that the check had then."""

    at_ms: int
    outcome: CheckStatus
    cause: Cause | None
    interval_ms: int
    latency_us: int | None
    status: int | None


class UptimeWindow(TypedDict):
    """The last ``hours``, which the four parts are, to the millisecond. ``uptime`` is up / (up + down), ``coverage`` how much of
    what was to be watched is behind it."""

    hours: Literal[24, 168, 720, 2160]
    uptime: float | None
    coverage: float | None
    uptime_text: str
    from_ms: int
    to_ms: int
    up_ms: int
    down_ms: int
    maintenance_ms: int
    unknown_ms: int


class Days(TypedDict):
    """The last 90 days by UTC, the oldest first, in milliseconds; the last one is not over. Before the check came to be, all is
    unknown."""

    from_ms: int
    to_ms: int
    up_ms: list[int]
    down_ms: list[int]
    maintenance_ms: list[int]
    unknown_ms: list[int]


class _CheckStanding(TypedDict, total=False):
    days: Days


class CheckStanding(_CheckStanding):
    """Where a check stands. ``confirmed`` has been so since ``since_ms``; ``days`` is there when it was asked for."""

    name: str
    target: str
    kind: Literal["http", "tcp", "tls"]
    status: CheckStatus
    confirmed: CheckStatus
    since_ms: int
    flapping: bool
    paused: bool
    maintenance: bool
    last: CheckResult | None
    certificate_expires_ms: int | None
    certificate_expiring: bool
    created_ms: int
    interval_ms: int
    missed: int
    tags: list[str]
    windows: list[UptimeWindow]


class StatusCounts(TypedDict):
    """How many checks have which status: all of them."""

    down: int
    unknown: int
    up: int


class UptimeReport(TypedDict):
    """Where all checks stand, those that are down first; ``leader``: this process probes; ``note``: why it may be stale."""

    service: str
    as_of: int
    leader: bool
    network_down_since_ms: int | None
    counts: StatusCounts
    checks: list[CheckStanding]
    note: str | None


class Memory(TypedDict):
    """Bytes in use, and what may be."""

    used: int
    budget: int


class _Report(TypedDict):
    as_of: int
    from_ms: int
    to_ms: int
    window_ms: int
    baseline: Literal["own", "cold"]
    scope: Scope
    scope_note: str | None
    sources: int
    mode: Literal["exact", "bounded"]
    totals: Totals
    verdict: Verdict
    latency_verdict: Verdict
    by: By
    errors: str
    tenants: list[TenantRow]
    tail: Tail
    stats: Stats


class Report(_Report, total=False):
    """Who is worst, and the verdicts. Times are Unix ms. ``series`` is there when it was asked for."""

    series: Series


class EndpointCounts(TypedDict):
    """A tenant's counts at one endpoint."""

    endpoint: str
    requests: int
    errors: int


class TenantReport(TenantRow):
    """One tenant in detail: its row and its endpoints, by errors and then by requests."""

    scope: Scope
    as_of: int
    from_ms: int
    to_ms: int
    endpoints: list[EndpointCounts]
