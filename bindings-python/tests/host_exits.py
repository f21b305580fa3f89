"""Ends while 16 daemon threads record and ask, and the exporter shares; its directory may have become a bad one by then. Prints
how many seconds the package took of the exit.

    host_exits.py DIRECTORY good|full|read_only|hung
"""

import atexit
import os
import sys
import threading
import time
from pathlib import Path

import mounts

times = []
# Those that are registered first are called last: this one right after the package's own.
atexit.register(lambda: os.write(1, f"{time.monotonic() - times[0]}\n".encode()))

from tenant_sentinel import Sentinel  # noqa: E402

PLACE, BECOMES = Path(sys.argv[1]), sys.argv[2]
sentinel = Sentinel(service="exits", dir=PLACE)
# Healthy, while the directory hangs: published all the same.
other = Sentinel(service="exits", dir=f"{PLACE}-other")


def work():
    while True:
        request = sentinel.start("acme")
        sentinel.record("acme", "/", 200, 1.0)
        request.finish("/", 200)
        sentinel.report(limit=1)


# What 16 threads take each other's time with is the interpreter's, and not what is measured here.
sys.setswitchinterval(1e-4)
for _ in range(16):
    threading.Thread(target=work, daemon=True).start()
while sentinel.stats()["accepted"] < 100 or sentinel.sharing()["published_ms"] is None:
    time.sleep(0.001)
if BECOMES != "good":
    mounts.spoil(PLACE, BECOMES)
    while sentinel.report(limit=1)["scope"] == "host":
        if BECOMES == "full":
            mounts.spoil(PLACE, BECOMES)
other.record("acme", "/", 200, 1.0)
atexit.register(lambda: times.append(time.monotonic()))
sys.exit(0)
