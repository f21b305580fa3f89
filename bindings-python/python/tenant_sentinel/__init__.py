"""Which tenant is causing elevated errors or latency right now: one, a few, or everyone?

>>> from tenant_sentinel import Sentinel
>>> sentinel = Sentinel(window="10m")
>>> sentinel.record("tenant_acme", "/v1/process", 503, 41.7)
>>> report = sentinel.report()
>>> report["totals"]["errors"], report["verdict"]["kind"]
(1, 'quiet')

Adapters: ``tenant_sentinel.asgi`` (Starlette, Litestar), ``.fastapi``, ``.quart``, ``.flask``, ``.wsgi``, ``.django``. Only the
adapter of a framework imports it.
"""

from tenant_sentinel._current import set_tenant
from tenant_sentinel._native import Admin, ConfigError, Guard, Sentinel, __version__

__all__ = ["Admin", "ConfigError", "Guard", "Sentinel", "__version__", "set_tenant"]
