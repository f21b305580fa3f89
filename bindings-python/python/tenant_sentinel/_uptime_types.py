"""The shapes of uptime checks: the options that configure them, and the reports about them."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict

from tenant_sentinel._types import SecretEnv, SecretFile

Seconds: TypeAlias = str | float
"""A duration below an option: seconds, or text such as ``"10m"``."""


class ExpectOptions(TypedDict, total=False):
    """The conditions on an HTTP response, all of which must hold. ``json``: JSON pointers and the expected values."""

    status: int | str | list[int | str]
    contains: str
    lacks: str
    json: dict[str, Any]
    max_latency: Seconds


class ConfirmOptions(TypedDict, total=False):
    """The number of results in a row that make a target down, or up again, and the interval of probes meanwhile."""

    failures: int
    successes: int
    every: Seconds


# In functional form: "from" and "for" are keywords.
Once = TypedDict("Once", {"from": str, "to": str})
"""From one moment to another, each such as ``"2026-03-01T22:00+02:00"``."""

_Weekly = TypedDict(
    "_Weekly", {"days": list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]], "at": str, "for": Seconds}
)


class Weekly(_Weekly, total=False):
    """On these days of every week, by a clock with this ``offset`` from UTC (``"+02:00"``)."""

    offset: str


class MaintenanceOnce(TypedDict):
    """One maintenance window."""

    once: Once


class MaintenanceWeekly(TypedDict):
    """A maintenance window every week."""

    weekly: Weekly


class _CheckOptions(TypedDict):
    name: str
    target: str


class CheckOptions(_CheckOptions, total=False):
    """One check: ``name`` and ``target`` (``https://…``, ``http://…``, ``tcp://…`` or ``tls://…``) are required."""

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
    """The checks. ``allow``: addresses to probe besides public ones, ``"loopback"``, ``"private"`` or ranges."""

    checks: list[CheckOptions]
    allow: list[str]
    ca_file: str
    at_once: int


CheckStatus: TypeAlias = Literal["up", "down", "unknown"]
"""The state of a target."""

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
"""The reason of a result that is not up."""


class CheckResult(TypedDict):
    """The result of one probe; ``interval_ms`` is the check's interval at that time. ``latency_us`` is microseconds."""

    at_ms: int
    outcome: CheckStatus
    cause: Cause | None
    interval_ms: int
    latency_us: int | None
    status: int | None


class UptimeWindow(TypedDict):
    """The last ``hours``, split into four parts, to the millisecond. ``uptime`` is up / (up + down), 0 to 1; ``coverage`` is the
    part of the time without maintenance that was watched."""

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
    """The last 90 days in UTC, oldest first, in milliseconds; the last one is today. Time before the check was created is
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
    """The state of a check. ``confirmed`` has held since ``since_ms`` (Unix ms); ``days`` is present only on request."""

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
    """The number of all checks by status."""

    down: int
    unknown: int
    up: int


class UptimeReport(TypedDict):
    """The state of all checks, those that are down first. ``leader``: this process probes. ``note``: why it may be stale."""

    service: str
    as_of: int
    leader: bool
    network_down_since_ms: int | None
    counts: StatusCounts
    checks: list[CheckStanding]
    note: str | None
