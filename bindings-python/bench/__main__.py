"""Measures the Python package beside its peers: `make bench-python`.

CPU time, each measurement in a process of its own, contenders in turn; the medians of their rounds. The cost of an adapter is the
difference to a middleware that does nothing, measured in the same process or, for Django, in the same round.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
# The peers, and the factor by which each should be slower than Sentinel.
RECORD = {"sentinel": None, "prometheus_client": 40, "apitally": 25, "opentelemetry": 100}
FASTAPI = {"nothing": None, "clocks": None, "sentinel": None, "instrumentator": 10, "starlette_exporter": 10, "apitally": 10}
# Case, script, contenders, and the target for Sentinel in ns.
CASES = [
    ("record-1k", "record.py", RECORD, 100),
    ("record-100k", "record.py", RECORD, 140),
    ("asgi", "adapters.py", dict.fromkeys(["nothing", "clocks", "sentinel"]), 4_000),
    ("fastapi", "adapters.py", FASTAPI, 4_000),
    ("flask", "adapters.py", dict.fromkeys(["nothing", "sentinel", "prometheus_flask_exporter"]), None),
    ("django", "adapters.py", dict.fromkeys(["nothing", "sentinel", "django_prometheus"]), None),
    ("memory", "memory.py", {"sentinel": None}, None),
]


def measured(script, case, contender, quick):
    command = [sys.executable, "-B", HERE / script, case, contender, *(["--quick"] if quick else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{case} {contender}: {done.stderr}")
    return json.loads(done.stdout)


def lines(case, script, contenders, target, asked):
    rounds = {contender: [] for contender in contenders}
    for _ in range(asked.rounds):
        for contender in contenders:
            rounds[contender].append(measured(script, case, contender, asked.quick))
    nothing = rounds.get("nothing")
    own = None
    for contender, found in rounds.items():
        values = [value["ns"] for value in found]
        line = {"case": case, "contender": contender, "ns": round(statistics.median(values), 1)}
        if "over_nothing_ns" in found[0]:
            line["over_nothing_ns"] = round(statistics.median(value["over_nothing_ns"] for value in found), 1)
        elif nothing and contender != "nothing":
            over = [value["ns"] - base["ns"] for value, base in zip(found, nothing, strict=True)]
            line["over_nothing_ns"] = round(statistics.median(over), 1)
        if "rss_growth_mib" in found[0]:
            line["rss_growth_mib"] = round(statistics.median(value["rss_growth_mib"] for value in found), 2)
        taken = line.get("over_nothing_ns", line["ns"])
        if contender == "sentinel":
            own = taken
            if target and not asked.quick:
                line |= {"target_ns": target, "reached": own <= target}
        elif own and contender not in ("nothing", "clocks"):
            line["times"] = round(taken / own, 1)
            if contenders[contender] and not asked.quick:
                line |= {"target_times": contenders[contender], "reached": line["times"] >= contenders[contender]}
        line["rounds"] = [round(value, 1) for value in values]
        yield line


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", action="append", help="cases, of: " + ", ".join(case for case, *_ in CASES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a look whether everything works")
    asked = parser.parse_args()
    asked.rounds = 1 if asked.quick else asked.rounds
    found = []
    for case, script, contenders, target in CASES:
        if asked.only and case not in asked.only:
            continue
        for line in lines(case, script, contenders, target, asked):
            found.append(line)
            over = line.get("over_nothing_ns")
            shown = "" if over is None else f"{over:12,.0f} ns over nothing"
            growth = f"   RSS {line['rss_growth_mib']:+.2f} MiB" if "rss_growth_mib" in line else ""
            times = f"   {line['times']:6.1f} times Sentinel's" if "times" in line else ""
            wanted = f" ({line.get('target_ns', line.get('target_times')):,} wanted)" if "reached" in line else ""
            verdict = {True: "   reached", False: "   MISSED"}.get(line.get("reached"), "") + wanted
            print(f"{case:12} {line['contender']:26} {line['ns']:12,.0f} ns {shown}{growth}{times}{verdict}", flush=True)
    for line in found:
        print(json.dumps(line))
    if asked.out:
        asked.out.write_text("".join(json.dumps(line) + "\n" for line in found))


main()
