"""The shapes of reports, and the types of arguments. A number that has no meaning yet is ``None``, never 0."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal, TypeAlias, TypedDict
from uuid import UUID

TenantId: TypeAlias = str | bytes | bytearray | int | UUID | None
"""The tenant of a request. ``None`` and the empty id count as ``unattributed``."""

Duration: TypeAlias = str | float | timedelta
"""A duration: seconds, text such as ``"10m"`` or ``"90s"``, or a timedelta."""

Scope: TypeAlias = Literal["process", "host"]
"""The processes whose events count: this one, or all of the service on this host."""

By: TypeAlias = Literal["errors", "error_rate", "latency", "load", "requests"]
"""The ranking of a report."""

Kind: TypeAlias = Literal["quiet", "one_tenant", "few_tenants", "one_endpoint", "everyone", "unclear"]
"""The outcome of a verdict."""

TenantFrom: TypeAlias = str | Callable[[Any], Any] | None
"""The source of the tenant for an adapter: the name of a header, or a function of the request, async or not."""


class Bound(TypedDict):
    """The amount by which each count may fall short: ``count <= true <= count + bound``."""

    requests: int
    errors: int
    slow: int


class TopEndpoint(TypedDict):
    """The endpoint with most of a tenant's errors. ``exact`` is false where ``errors`` is a lower bound."""

    endpoint: str
    errors: int
    exact: bool


class Series(TypedDict):
    """Counts slot by slot; the first slot begins at ``from_ms`` (Unix ms), each lasts ``slot_ms``."""

    from_ms: int
    slot_ms: int
    requests: list[int]
    errors: list[int]


class Verdict(TypedDict):
    """The verdict on errors or latency, with its evidence. Shares and rates are 0 to 1, times Unix ms."""

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
    """All tenants together. ``error_rate`` is 0 to 1, percentiles are milliseconds."""

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
    """One tenant of a report. Rates and shares are 0 to 1. ``series`` is present only on request."""

    series: Series


class Tail(TypedDict):
    """The tenants beyond those that are kept, in one row, and the bound of each count of a report."""

    requests: int
    errors: int
    slow: int
    bound: Bound


class Dropped(TypedDict):
    """Events that were not counted, by reason."""

    status: int
    late: int
    no_memory: int


class Adjusted(TypedDict):
    """Events that were counted with an adjusted value, by value."""

    latency: int
    latency_clamped: int
    future: int
    tenant_truncated: int
    endpoint_other: int
    latency_unplaced: int


class Stats(TypedDict):
    """Own counters: ``offered`` = ``accepted`` + the sum of ``dropped``; ``accepted`` = ``in_window`` + ``expired``."""

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
    """The state of sharing with other processes. Times are Unix ms; ``failures`` counts failed and rejected steps by reason."""

    scope: Scope
    running: bool
    leader: bool
    sources: int
    published_ms: int | None
    collected_ms: int | None
    failures: dict[str, int]
    last_error: str | None


class SecretEnv(TypedDict):
    """A secret text, from a variable of the environment."""

    env: str


class SecretFile(TypedDict):
    """A secret text, from a file."""

    file: str


Secret: TypeAlias = str | SecretEnv | SecretFile
"""A secret text, which no error or report shows: the text, or its source."""


class Memory(TypedDict):
    """Bytes in use, and the budget in bytes."""

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
    """The ranked tenants and the verdicts. Times are Unix ms. ``series`` is present only on request."""

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
