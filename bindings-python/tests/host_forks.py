"""Forks many children of a service that shares, while threads record and ask; each child records, asks for the whole host and
ends, now one way and now the other. Prints how many there were.

    host_forks.py FORKS DIRECTORY os|libc
"""

import ctypes
import os
import signal
import sys
import threading
import time

from tenant_sentinel import Sentinel

FORKS, PLACE, BY = int(sys.argv[1]), sys.argv[2], sys.argv[3]
sentinel = Sentinel(service="forks", dir=PLACE)
over = False


def work(me):
    i = 0
    while not over:
        i += 1
        sentinel.record(f"tenant-{me}-{i % 100}", "/v1/process", 200, 1.0)
        if i % 1_000 == 0:
            # The exporter reads and writes all the time, also while this process is forked.
            sentinel.report(limit=1)


def child(number):
    """The one child that fails a request, and its own: none of the parent's."""
    sentinel.record("child", "/", 500, 1.0)
    sentinel.start("child").finish("/", 200)
    if number % 4 == 0:
        # At the interpreter's exit what is left is published, without a question.
        sys.exit(0)
    report = sentinel.report()
    own = sentinel.report(scope="process")
    right = own["totals"]["requests"] == own["stats"]["accepted"] == sentinel.tenant("child", scope="process")["requests"] == 2
    # It, and each child before it, once. On a busy machine the answer may come late, and is only this process's; never wrong.
    host = report["totals"]["errors"] if report["scope"] == "host" else None
    if not right or host not in (number + 1, None):
        os.write(2, f"{number}: {report['scope']} {report['scope_note']} {host} {own['totals']}\n".encode())
        os._exit(3)
    while host is None and not sentinel.publish():
        pass
    os._exit(4 if host is None else 0)


if BY == "libc":
    # Another thread that holds the interpreter would be in the way of a child that the interpreter knows nothing of.
    fork = ctypes.PyDLL(None).fork
    threads = []
else:
    fork = os.fork
    threads = [threading.Thread(target=work, args=(me,), daemon=True) for me in range(4)]
for thread in threads:
    thread.start()
sentinel.record("parent", "/", 200, 1.0)
late = 0
for number in range(FORKS):
    pid = fork()
    if pid == 0:
        # A child that waits for what it inherited is killed, and shows.
        signal.alarm(60)
        child(number)
    _, status = os.waitpid(pid, 0)
    late += status == 4 << 8
    assert status in (0, 4 << 8), f"child {number} ended with {status}"
over = True
for thread in threads:
    thread.join()
# Every fourth child asks nothing. On a busy machine many an answer is late, and not each of them.
assert late < FORKS - (FORKS + 3) // 4, late

parents = sentinel.stats()["accepted"]
end = time.monotonic() + 60
while True:
    report = sentinel.report()
    found = report["totals"]["requests"], report["totals"]["errors"], sentinel.tenant("child")["requests"]
    if report["scope"] == "host" and found == (parents + 2 * FORKS, FORKS, 2 * FORKS):
        break
    assert time.monotonic() < end, (report["scope"], report["scope_note"], found, parents, FORKS)
    time.sleep(0.02)
print(FORKS)
