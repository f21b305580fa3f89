"""Ends after an entry was told to panic, or after so many panics that nothing is tried any more. Prints how often another thread
had the interpreter while the last question was answered: after the drain nobody leaves it, so never.

    drains.py DIRECTORY ENTRY|nothing
"""

import atexit
import contextlib
import sys
import threading
import time

ticks = 0


def last():
    _native._fail_at(None)
    # Only who leaves the interpreter gives it away.
    sys.setswitchinterval(60)
    before = ticks
    busy.report(limit=1_000)
    print(ticks - before)


# Those that are registered first are called last: this one after the package's own.
atexit.register(last)

from tenant_sentinel import Sentinel, _native  # noqa: E402

DIRECTORY, ENTRY = sys.argv[1:]
sentinel = Sentinel(service="drains", dir=DIRECTORY)
# Enough for an answer to take milliseconds.
busy = Sentinel()
for i in range(20_000):
    busy.record(i, "/", 200, 1.0)


def tick():
    global ticks
    while True:
        ticks += 1
        time.sleep(0)


threading.Thread(target=tick, daemon=True).start()
sentinel.start_exporter()
while sentinel.sharing()["published_ms"] is None:
    time.sleep(0.001)
sentinel.record("acme", "/", 503, 1.0)
_native._fail_at("tick" if ENTRY == "nothing" else ENTRY)
for _ in range(3 if ENTRY == "nothing" else 0):
    with contextlib.suppress(RuntimeError):
        sentinel.tick()
sys.exit(0)
