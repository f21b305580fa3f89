"""Ends while 8 daemon threads record and ask, and after what an entry did as told: panicking whenever it is called, or so often
that nothing is tried any more.

    drains.py DIRECTORY ENTRY|nothing
"""

import contextlib
import sys
import threading
import time

from tenant_sentinel import Sentinel, _native

DIRECTORY, ENTRY = sys.argv[1:]
sentinel = Sentinel(service="drains", dir=DIRECTORY)
# Out there all the time. Another one: what was published of the first does not depend on where these are.
busy = Sentinel()


def work():
    while True:
        busy.record("acme", "/", 200, 1.0)
        # Raised where nothing is tried any more.
        with contextlib.suppress(RuntimeError):
            busy.report(limit=1)


sentinel.start_exporter()
for _ in range(8):
    threading.Thread(target=work, daemon=True).start()
while busy.stats()["accepted"] < 100 or sentinel.sharing()["published_ms"] is None:
    time.sleep(0.001)
sentinel.record("acme", "/", 503, 1.0)
_native._fail_at("tick" if ENTRY == "nothing" else ENTRY)
for _ in range(3 if ENTRY == "nothing" else 0):
    with contextlib.suppress(RuntimeError):
        sentinel.tick()
sys.exit(0)
