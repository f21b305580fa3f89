"""Ends while 16 daemon threads record."""

import sys
import threading
import time

from tenant_sentinel import Sentinel

sentinel = Sentinel()


def work():
    while True:
        request = sentinel.start("acme")
        sentinel.record("acme", "/", 200, 1.0)
        request.finish("/", 200)
        sentinel.report(limit=1)


for _ in range(16):
    threading.Thread(target=work, daemon=True).start()
while sentinel.stats()["accepted"] < 100:
    time.sleep(0.001)
sys.exit(0)
