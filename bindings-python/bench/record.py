"""The cost of a `record` call: tenant, endpoint, status, latency."""

import json
import random
import sys
import time

case, contender = sys.argv[1:3]
TENANTS = 1_000 if case.endswith("-1k") else 100_000
# A tenth of the calls measures contenders that take a hundred times as long just as well.
CALLS = 20_000 if "--quick" in sys.argv else 400_000 if contender == "sentinel" else 40_000
ENDPOINTS = ["/v1/process", "/v1/users/{id}", "/v1/things", "/v1/things/{id}/parts"]


def sentinel():
    from tenant_sentinel import Sentinel

    return Sentinel().record


def prometheus_client():
    from prometheus_client import Counter, Histogram

    labels = ["tenant", "endpoint"]
    requests = Counter("requests", "Requests", [*labels, "status"])
    latency = Histogram("latency", "Latency", labels)

    def record(tenant, endpoint, status, ms):
        requests.labels(tenant, endpoint, status).inc()
        latency.labels(tenant, endpoint).observe(ms / 1_000)

    return record


def apitally():
    from apitally.shared import metrics

    # Without an exporter: only the instruments are filled.
    metrics.resource = object()

    def record(tenant, endpoint, status, ms):
        # Called as apitally's middleware does for a request without a body.
        metrics.record_request(
            method="GET",
            route=endpoint,
            status_code=status,
            consumer=tenant,
            duration=ms / 1_000,
            request_size=None,
            response_size=1_337,
        )

    return record


def opentelemetry():
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    meter = MeterProvider([InMemoryMetricReader()]).get_meter("bench")
    requests, latency = meter.create_counter("requests"), meter.create_histogram("latency")

    def record(tenant, endpoint, status, ms):
        requests.add(1, {"tenant": tenant, "endpoint": endpoint, "status": status})
        latency.record(ms, {"tenant": tenant, "endpoint": endpoint})

    return record


record = globals()[contender]()
draw = random.Random(7)
# New strings, adjacent in memory: a service makes the id from the request's header just before, so it is in the cache.
events = [(f"tenant-{draw.randrange(TENANTS):06}", draw.choice(ENDPOINTS)) for _ in range(CALLS)]
# Warm up with all tenants: the first seconds of a process are not measured here.
for tenant in range(TENANTS):
    record(f"tenant-{tenant:06}", ENDPOINTS[0], 200, 12.5)
for tenant, endpoint in events:
    record(tenant, endpoint, 200, 12.5)


def nanoseconds(events):
    """Of each call. In a function, as a service has it: to look up a module's own names takes as long as half a call."""
    start = time.process_time_ns()
    for _tenant, _endpoint in events:
        pass
    loop = time.process_time_ns() - start
    call = record
    start = time.process_time_ns()
    for tenant, endpoint in events:
        call(tenant, endpoint, 200, 12.5)
    return (time.process_time_ns() - start - loop) / len(events)


print(json.dumps({"ns": nanoseconds(events)}))
