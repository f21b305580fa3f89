"""The shapes of alerts: the options that configure them, and the reports about them."""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

from tenant_sentinel._types import Kind, Secret

# In functional form: "for" is a keyword. "for" is how long the condition must hold.
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
"""A tenant has at least ``at_least`` errors in the window; resolved at half of that."""

TenantShare = TypedDict("TenantShare", {"above": float, "for": str | float, "keep_firing_for": str | float}, total=False)
"""A tenant certainly has more than ``above`` (0.01 to 0.99) of all failures."""

TenantLatency = TypedDict(
    "TenantLatency",
    {"factor": float, "min_requests": int, "for": str | float, "keep_firing_for": str | float},
    total=False,
)
"""A tenant's p95 is more than ``factor`` (2 to 1,000) times its normal p95."""


class GroupingOptions(TypedDict, total=False):
    """When notices are sent: ``first`` is how long the first alert waits for others (0 to 10 min), ``then`` the shortest time
    between later notices (0 to 24 h), ``repeat`` the interval at which firing alerts are sent again (5 min to 7 days)."""

    first: str | float
    then: str | float
    repeat: str | float


class SlackSink(TypedDict, total=False):
    """An incoming webhook of Slack. ``type`` and ``url`` are required."""

    type: Literal["slack"]
    name: str
    url: Secret
    ca_file: str


class WebhookSink(TypedDict, total=False):
    """An address that takes a POST. ``type`` and ``url`` are required."""

    type: Literal["webhook"]
    name: str
    url: Secret
    secret: Secret
    ca_file: str


# In functional form: "from" is a keyword.
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
"""A mail server. ``type``, ``host``, ``from`` and ``to`` are required."""


class LogSink(TypedDict, total=False):
    """Lines of JSON, on stderr or in a file. ``type`` is required."""

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
    """The alert rules, and the sinks that get the notices. Durations are seconds or text."""

    verdict: Verdicts
    targets: TargetRules
    tenant_errors: TenantErrors
    tenant_share: TenantShare
    tenant_latency: TenantLatency
    grouping: GroupingOptions
    sinks: list[SlackSink | WebhookSink | EmailSink | LogSink]


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
"""The rule of an alert."""


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
"""The subject of an alert."""


class TargetEvidence(TypedDict):
    """The state of a target; ``url`` is without path and query, which may be secrets. Times are Unix ms."""

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
"""The evidence that an alert fired on, unchanged since. Times are Unix ms, rates and shares 0 to 1."""


class Alert(TypedDict):
    """An alert that is firing or has fired. Times are Unix ms."""

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
    """A pending or firing alert. ``known`` is false while there is no data to judge; ``alert`` is ``None`` until it fires."""

    rule: Rule
    subject: Subject
    phase: Literal["pending", "firing", "recovering"]
    since_ms: int
    known: bool
    title: str
    alert: Alert | None


class PastAlert(Alert):
    """An alert that has ended."""

    title: str


class AlertCounts(TypedDict):
    """The counters of alerts that were not followed."""

    dropped: int
    without_place: int
    missing: int
    notices: int


class SinkReport(TypedDict):
    """The state of a sink. ``offered`` = ``delivered`` + the sum of ``dropped``, by reason, + ``pending``."""

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
    """The state of alerts, the same from every process of a host. ``leader``: this process evaluates and sends."""

    service: str
    as_of: int | None
    leader: bool
    alerts: list[FollowedAlert]
    recent: list[PastAlert]
    counts: AlertCounts
    sinks: list[SinkReport]
    note: str | None


class TriedSink(TypedDict):
    """The result of a test for one sink; ``error`` is the reason where the sink did not take the message."""

    name: str
    kind: str
    error: str | None
