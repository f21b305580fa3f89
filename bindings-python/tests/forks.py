"""Forks many children while threads record and ask; each records, asks and exits. Prints how many."""

import os
import signal
import sys
import threading

from tenant_sentinel import Sentinel

FORKS = int(sys.argv[1])
sentinel = Sentinel()
over = False


def work(me):
    i = 0
    while not over:
        i += 1
        sentinel.record(f"tenant-{me}-{i % 1_000}", "/v1/process", 200, 1.0)
        request = sentinel.start("in-flight")
        if i % 1_000 == 0:
            sentinel.report()
        request.finish("/", 200)


threads = [threading.Thread(target=work, args=(me,), daemon=True) for me in range(4)]
for thread in threads:
    thread.start()
held = sentinel.start("held-by-the-parent")
for _ in range(FORKS):
    pid = os.fork()
    if pid == 0:
        # A child that waits for a lock of the parent is killed, and shows.
        signal.alarm(60)
        sentinel.record("child", "/", 500, 1.0)
        held.finish("/", 200)
        sentinel.start("child").finish("/", 200)
        report = sentinel.report()
        # What the parent began, the parent counts; or the child does when it ends it, but nothing twice or lost.
        right = sentinel.tenant("child")["requests"] == 2 and report["totals"]["errors"] == 1
        os._exit(0 if right and report["stats"]["accepted"] in (2, 3) else 3)
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"a child ended with {status}"
over = True
for thread in threads:
    thread.join()
del held
stats = sentinel.stats()
assert stats["offered"] == stats["accepted"] > FORKS
print(FORKS)
