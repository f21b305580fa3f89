from os import PathLike
from typing import Any, final

from typing_extensions import Self

from tenant_sentinel._alert_types import (
    AlertOptions,
    AlertsReport,
    TriedSink,
)
from tenant_sentinel._types import (
    By,
    Duration,
    Memory,
    Report,
    Scope,
    Sharing,
    Stats,
    TenantId,
    TenantReport,
    Verdict,
)
from tenant_sentinel._uptime_types import (
    UptimeOptions,
    UptimeReport,
)

__all__ = ["Admin", "ConfigError", "Guard", "Sentinel", "_Request", "__version__", "_fail_at"]

__version__: str

class ConfigError(ValueError):
    field: str
    value: str
    allowed: str

@final
class Sentinel:
    def __new__(
        cls,
        *,
        window: Duration | None = None,
        slot: Duration | None = None,
        budget: int | str | None = None,
        errors: str | None = None,
        places: int | None = None,
        max_endpoints: int | None = None,
        stripes: int | None = None,
        slow_after: Duration | None = None,
        admin_token: str | None = None,
        service: str | None = None,
        dir: str | PathLike[str] | None = None,
        config: str | PathLike[str] | None = None,
        alerts: AlertOptions | None = None,
        uptime: UptimeOptions | None = None,
        state_dir: str | PathLike[str] | None = None,
    ) -> Self: ...
    def record(
        self,
        tenant_id: TenantId,
        endpoint: str | None,
        status_code: int,
        latency_ms: float | None,
        timestamp_ms: float | None = None,
    ) -> None: ...
    def start(self, tenant_id: TenantId = None) -> Guard: ...
    def _begin(self, scope: Any, receive: Any, key: str, name: bytes | None) -> _Request | None: ...
    def report(
        self,
        by: By | None = None,
        limit: int | None = None,
        window: Duration | None = None,
        scope: Scope | None = None,
        *,
        series: bool = False,
    ) -> Report: ...
    def text(
        self,
        by: By | None = None,
        limit: int | None = None,
        window: Duration | None = None,
        scope: Scope | None = None,
    ) -> str: ...
    def verdict(self) -> Verdict: ...
    def latency_verdict(self) -> Verdict: ...
    def tenant(self, tenant_id: TenantId, window: Duration | None = None, scope: Scope | None = None) -> TenantReport | None: ...
    def stats(self) -> Stats: ...
    def memory(self) -> Memory: ...
    def tick(self) -> None: ...
    def admin(self, *, public: bool = False) -> Admin: ...
    def adapter_failed(self) -> None: ...
    def start_exporter(self) -> None: ...
    def publish(self) -> bool: ...
    def sharing(self) -> Sharing | None: ...
    def alerts(self) -> AlertsReport | None: ...
    def uptime(self, *, series: bool = False) -> UptimeReport | None: ...
    def test_alert(self, sink: str | None = None, *, timeout: Duration = 10.0) -> list[TriedSink]: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_args: Any) -> None: ...

@final
class Guard:
    def tenant(self, tenant_id: TenantId) -> None: ...
    def endpoint(self, endpoint: str | None) -> None: ...
    def finish(self, endpoint: str | None, status_code: int) -> None: ...
    def discard(self) -> None: ...

@final
class _Request:
    template: str | None
    @property
    def sentinel(self) -> Sentinel: ...
    @property
    def root(self) -> str: ...
    @property
    def done(self) -> bool: ...
    @property
    def outer(self) -> None: ...
    @property
    def receive(self) -> Any: ...
    def set_tenant(self, tenant_id: TenantId) -> None: ...
    def finish(self, template: str | None, status: int) -> None: ...
    def discard(self) -> None: ...

@final
class Admin:
    def respond(
        self, method: str, path: str, query: str = "", authorization: bytes | None = None
    ) -> tuple[int, list[tuple[str, str]], bytes]: ...

def _fail_at(entry: str | None, /) -> None: ...
