#!/usr/bin/env python3
"""Says what was made to happen in a stream of the incidents example: truth.py TRUTH.json, or --middle for the moment (Unix ms)
in the middle of its incident."""
import argparse
import json
from datetime import datetime, timezone


def clock(ms):
    return datetime.fromtimestamp(ms / 1000, timezone.utc).strftime("%H:%M:%S")


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("truth", metavar="TRUTH.json")
    p.add_argument("--middle", action="store_true", help="print only the middle of the incident, Unix ms")
    options = p.parse_args()
    with open(options.truth, encoding="utf-8") as f:
        incident = json.load(f)["incidents"][0]
    begin, end, expect = incident["from_ms"], incident["to_ms"], incident["expect"]
    if options.middle:
        print((begin + end) // 2)
        return
    who, where = ", ".join(sorted(expect["must"])) or "no tenant of its own", expect["endpoint"]
    own, requests, all_errors = incident["tenant_errors"], incident["tenant_requests"], incident["errors"]
    print(f"{who} fails from {clock(begin)} to {clock(end)} UTC{f' on {where}' if where else ''}: {own:,} of its {requests:,} "
          f"requests then, beside {all_errors - own:,} errors of others")


if __name__ == "__main__":
    main()
