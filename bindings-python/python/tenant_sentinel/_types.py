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
