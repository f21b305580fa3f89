"""The shapes of uptime checks: the options that configure them, and the reports about them."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict

from tenant_sentinel._types import SecretEnv, SecretFile

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
