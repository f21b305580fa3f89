"""The shapes of alerts: the options that configure them, and the reports about them."""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

from tenant_sentinel._types import Kind, Secret

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
