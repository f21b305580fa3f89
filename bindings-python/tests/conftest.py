import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from service import Service

# The workers of gunicorn take httptools.
UVICORN = ["uvicorn", "--http", "h11", "--port", "PORT", "--log-level", "critical"]
GUNICORN = ["gunicorn", "-b", "127.0.0.1:PORT", "--log-level", "critical", "--threads", "64"]
WORKER = ["gunicorn", "-b", "127.0.0.1:PORT", "--log-level", "critical", "-k", "uvicorn_worker.UvicornWorker"]

_running = {}


def service(framework, server="uvicorn", by="header"):
    """One for the whole run: what a test counts is under a tenant of its own."""
    key = framework, server, by
    if key not in _running:
        command = {"uvicorn": UVICORN, "gunicorn": GUNICORN, "worker": WORKER}[server]
        _running[key] = Service([*command, f"apps.{framework}_app:app"], {"TENANT_BY": by})
    return _running[key]


@pytest.fixture(scope="session", autouse=True)
def _close_services():
    yield
    for running in _running.values():
        running.close()
