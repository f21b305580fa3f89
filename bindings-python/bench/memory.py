"""RSS over ten million records of distinct ids, after the first million."""

import json
import os
import sys
import time

from tenant_sentinel import Sentinel

MILLIONS = 2 if "--quick" in sys.argv else 10
EACH = 10_000 if "--quick" in sys.argv else 1_000_000


def rss():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


record = Sentinel().record
at, start = [], time.process_time_ns()
for million in range(MILLIONS):
    for i in range(EACH):
        record(f"{million}-{i}", "/v1/process", 200, 12.5)
    at.append(rss())
took = time.process_time_ns() - start
print(json.dumps({"ns": took / MILLIONS / EACH, "rss_growth_mib": (max(at) - at[0]) / 2**20}))
