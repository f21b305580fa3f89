#!/usr/bin/env python3
"""Compares Sentinel with the exact reference of the decision rules, second by second.

For every stream the verdict that Sentinel shows after each second of stream time (`examples/follow.rs`) must be the one that
../shared/tools/verdict_reference.py shows: kind, tenants, endpoint (the one that a one_tenant verdict names, too), judged
window, and for verdicts that name someone share and excess share within 1e-6. Errors and latency are compared apart. The
streams are the real ones in ../shared/data and made ones of ../shared/tools/incidents.py:

  --slice ci   (default) the real streams and one small fleet of each kind of incident, about two minutes
  --all        the real streams and every scenario of incidents.py --list, --seeds of each: hours, for `make soak`

Equal excess. Tenants (endpoints) with the same excess have no order of their own: the reference ranks them by name, and which
of them is dropped from the rest may change the answer. A second that differs is forgiven only when Sentinel says what the
reference says when it ranks equal excess by name in reverse (excess that is equal to nine decimals counts as equal there).
Nothing else is forgiven; the summary counts these seconds apart and they are printed as well.

Every difference is printed with its second (from .. to, in Unix ms, while both sides stay as they are) and both sides. The
stream of a comparison that fails stays in target/reference/, others are removed. Exit code: 0 all equal, or skipped because
../shared is absent; 1 a difference or a failure; 2 wrong usage.

  target/venv/bin/python tests/reference/compare.py --only 'few*' --seeds 3 --all
  target/venv/bin/python tests/reference/compare.py --only trainticket_0129 --show 100
"""
import argparse
import fnmatch
import importlib.util
import json
import os
import subprocess
import sys
import traceback
from collections import namedtuple
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "target" / "reference"
REAL = ("cloudtrail_attack", "openstack_2k", "trainticket_0129_slice", "trainticket_0129")
SLICE = ("one_ep@20x5", "one_all@3x5", "one_weak@20x200", "outage@20x200", "outage_weak@20x200", "endpoint@20x200", "few2@20x5",
         "few4@20x200", "big60@3x5", "big60one@20x5", "chronic@1000x5", "hidden@20x200", "one_hi@20x5", "outage_hi@20x5",
         "early@20x200", "early_out@3x5", "flood@20x5", "long@20x5",
         "slow@20x200", "slow3@20x200", "slow_chr@20x200", "slowall@20x5", "slowep@20x200")
SHARE_TOLERANCE, EQUAL_EXCESS_DECIMALS = 1e-6, 9
NAMES_SOMEONE = ("one_tenant", "few_tenants", "one_endpoint")

Stream = namedtuple("Stream", "name seed")                      # seed None: a real one
Second = namedtuple("Second", "at_ms kind tenants endpoint window_ms share excess_share")
Difference = namedtuple("Difference", "at_ms sentinel reference tie")   # a side is None when it has no such second
Comparison = namedtuple("Comparison", "what seconds speaking differences")
Outcome = namedtuple("Outcome", "stream comparisons failure events")


def load(path):
    """A module from a file that is not on the path, without leaving byte code beside it."""
    sys.dont_write_bytecode = True
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class EqualExcessNumpy:
    """numpy, but sorting and argmax take values as equal that differ by rounding only."""
    def __init__(self, numpy):
        self.numpy = numpy

    def __getattr__(self, name):
        return getattr(self.numpy, name)

    def rounded(self, a):
        return self.numpy.round(a, EQUAL_EXCESS_DECIMALS) if a.dtype.kind == "f" else a

    def argsort(self, a, **options):
        return self.numpy.argsort(self.rounded(a), **options)

    def argmax(self, a, *args, **options):
        return self.numpy.argmax(self.rounded(a), *args, **options)


def reference_seconds(shared, events_path, errors="5xx", latency=False, reverse_ties=False):
    """Yields what the reference shows after every second."""
    reference = load(shared / "tools" / "verdict_reference.py")
    events = reference.Events(str(events_path), errors)
    if reverse_ties:
        reference.np = EqualExcessNumpy(reference.np)
        for names, of_event in (("tenants", "tenant"), ("endpoints", "endpoint")):
            setattr(events, of_event, len(getattr(events, names)) - 1 - getattr(events, of_event))
            setattr(events, names, getattr(events, names)[::-1])
    for at, v in reference.run(events, latency):
        yield Second(at, v.kind, tuple(sorted(str(events.tenants[t]) for t in v.tenants)),
                     None if v.endpoint is None else str(events.endpoints[v.endpoint]), v.window * 1000 or None,
                     *(None if x is None else float(x) for x in (v.share, v.excess_share)))


def sentinel_seconds(path, what):
    """Yields what Sentinel shows after every second: `what` (errors or latency) of the lines of follow."""
    with open(path, encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            v = row[what]
            yield Second(row["at_ms"], v["kind"], tuple(sorted(v["tenants"])), v["endpoint"], v["window_ms"] or None,
                         v["share"], v["excess_share"])


def equal(a, b, shares=True):
    """Do two seconds say the same?"""
    if a is None or b is None or a[:5] != b[:5]:
        return False
    if not shares or a.kind not in NAMES_SOMEONE:
        return True
    return all(x is not None and y is not None and abs(x - y) <= SHARE_TOLERANCE for x, y in zip(a[5:], b[5:]))


def compare_seconds(what, sentinel, reference, reversed_ties, shares=True):
    """Walks both side by side. `reversed_ties()` gives the reference with equal excess ranked in reverse, if it is needed."""
    sentinel, reference = ({s.at_ms: s for s in seconds} for seconds in (sentinel, reference))
    differing = [(at, sentinel.get(at), reference.get(at)) for at in sorted(sentinel.keys() | reference.keys())
                 if not equal(sentinel.get(at), reference.get(at), shares)]
    other = {s.at_ms: s for s in reversed_ties()} if any(a and b for _, a, b in differing) else {}
    differences = [Difference(at, a, b, equal(a, other.get(at), shares)) for at, a, b in differing]
    speaking = sum(s.kind != "quiet" for s in reference.values())
    return Comparison(what, len(sentinel.keys() | reference.keys()), speaking, differences)


def passed(comparison):
    return comparison.seconds > 0 and all(d.tie for d in comparison.differences)


def summary(stream, comparison):
    """One line: how many seconds are equal."""
    ties = sum(d.tie for d in comparison.differences)
    equals = comparison.seconds - len(comparison.differences)
    line = f"{label(stream):28}  {comparison.what:14}  equal {equals:,} of {comparison.seconds:,} seconds"
    line += f", {comparison.speaking:,} not quiet"
    line += f", {ties:,} explained by equal excess" if ties else ""
    return line if passed(comparison) else f"{line}  FAILED"


def say(second):
    if second is None:
        return "nothing"
    window = "-" if second.window_ms is None else f"{second.window_ms // 1000} s"
    shares = (("share", second.share), ("excess", second.excess_share))
    shares = "".join("" if x is None else f"  {name} {x:.6f}" for name, x in shares)
    return f"{second.kind} {','.join(second.tenants) or '-'}  endpoint {second.endpoint or '-'}  window {window}{shares}"


def describe(differences):
    """One entry for each run of seconds in which both sides stay as they are."""
    runs = []
    for d in differences:
        if runs and runs[-1][1].at_ms + 1000 == d.at_ms and key(runs[-1][1]) == key(d):
            runs[-1][1] = d
        else:
            runs.append([d, d])
    for first, last in runs:
        seconds = (last.at_ms - first.at_ms) // 1000 + 1
        when = str(first.at_ms) if seconds == 1 else f"{first.at_ms} .. {last.at_ms} ({seconds:,} seconds)"
        yield (f"    {when}{'  equal excess, ranked in reverse' if first.tie else ''}\n"
               f"      sentinel   {say(first.sentinel)}\n      reference  {say(first.reference)}")


def key(d):
    return d.tie, *(s and s[1:5] for s in (d.sentinel, d.reference))


def label(stream):
    return stream.name if stream.seed is None else f"{stream.name} seed {stream.seed}"


def file_name(text):
    return text.replace(" ", "-").replace("@", "_").replace(",", "-")


def compare_stream(stream, options):
    """Makes one stream, follows it, compares it. Runs in a process of its own."""
    base = WORK / file_name(label(stream))
    try:
        events = make(stream, base, options)
        error_sets = ("5xx", "4xx,5xx") if stream.seed is None else ("5xx",)
        comparisons = []
        for errors in error_sets:
            followed = Path(f"{base}.{file_name(errors)}.follow.jsonl")
            command = [*options.follow, str(events), "--errors", errors]
            with open(followed, "w", encoding="utf-8") as out:
                done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True)
            if done.returncode != 0:
                return Outcome(stream, comparisons, f"follow ended with {done.returncode}: {done.stderr.strip()}", events)
            for what in ("errors", "latency") if errors == "5xx" else ("errors",):
                exact = lambda reverse=False: reference_seconds(options.shared, events, errors, what == "latency", reverse)
                named, sentinel = what if errors == "5xx" else f"errors {errors}", sentinel_seconds(followed, what)
                comparisons.append(compare_seconds(named, sentinel, exact(), lambda: exact(True), options.shares))
        if all(map(passed, comparisons)) and not options.keep:
            for made in WORK.glob(f"{base.name}.*"):
                made.unlink()
        return Outcome(stream, comparisons, None, events)
    except Exception:                                           # reported as this stream's failure; the others go on
        return Outcome(stream, [], traceback.format_exc().strip(), base)


def make(stream, base, options):
    """The path of the stream's events; made ones are generated."""
    if stream.seed is None:
        return options.shared / "data" / f"{stream.name}.jsonl.gz"
    events = Path(f"{base}.jsonl")
    subprocess.run([sys.executable, "-B", options.shared / "tools" / "incidents.py", stream.name, "--seed", str(stream.seed),
                    "--out", events], check=True, stdout=subprocess.DEVNULL)
    return events


def scenarios(shared):
    command = [sys.executable, "-B", shared / "tools" / "incidents.py", "--list"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [line.split()[0] for line in done.stdout.splitlines()]


def build():
    """The release build of examples/follow.rs."""
    subprocess.run([os.environ.get("CARGO", "cargo"), "build", "--release", "--package", "sentinel-examples", "--example", "follow"],
                   cwd=ROOT, check=True)
    return [os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target")) + "/release/examples/follow"]


def arguments(argv):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = p.add_mutually_exclusive_group()
    which.add_argument("--slice", choices=("ci",), default="ci", help="the fixed slice that CI runs (the default)")
    which.add_argument("--all", action="store_true", help="every scenario")
    p.add_argument("--seeds", type=int, default=1, metavar="N", help="seeds 1 to N of each made stream (default: 1)")
    p.add_argument("--only", metavar="PATTERN", help="of these, the streams whose name matches, as in 'slow*' or '*@20x5'")
    p.add_argument("--jobs", type=int, default=2, metavar="N", help="streams at a time (default: 2; large ones take 4 GB each)")
    p.add_argument("--show", type=int, default=20, metavar="N",
                   help="differences printed per comparison (default: 20); all are in target/reference/")
    p.add_argument("--no-shares", dest="shares", action="store_false", help="do not compare share and excess share")
    p.add_argument("--keep", action="store_true", help="keep the streams in target/reference/")
    p.add_argument("--list", action="store_true", help="print the chosen streams and end")
    p.add_argument("--shared", type=Path, default=ROOT.parent / "shared", metavar="DIR",
                   help="where data/ and tools/ are (default: ../shared)")
    p.add_argument("--follow", nargs="+", metavar="PROGRAM",
                   help="instead of building examples/follow.rs; called with EVENTS --errors CLASSES")
    options = p.parse_args(argv)
    if options.seeds < 1 or options.jobs < 1:
        p.error("--seeds and --jobs start at 1")
    return p, options


def main(argv=None):
    parser, options = arguments(argv)
    if not (options.shared / "tools" / "verdict_reference.py").is_file():
        print(f"SKIPPED  the comparison with the reference: no tools/verdict_reference.py in {options.shared}", flush=True)
        return 0
    made = scenarios(options.shared) if options.all else SLICE
    streams = [Stream(name, None) for name in REAL] + [Stream(name, seed) for seed in range(1, options.seeds + 1) for name in made]
    streams = [s for s in streams if fnmatch.fnmatch(s.name, options.only or "*")]
    if not streams:
        parser.error(f"no stream is called {options.only!r}; see --list")
    if options.list:
        print("\n".join(map(label, streams)))
        return 0
    WORK.mkdir(parents=True, exist_ok=True)
    options.follow = options.follow or build()
    good = bad = 0
    with ProcessPoolExecutor(options.jobs) as pool:
        for outcome in (f.result() for f in as_completed([pool.submit(compare_stream, s, options) for s in streams])):
            for comparison in outcome.comparisons:
                good, bad = good + passed(comparison), bad + (not passed(comparison))
                print(summary(outcome.stream, comparison), flush=True)
                report(outcome, comparison, options.show)
            if outcome.failure:
                bad += 1
                print(f"{label(outcome.stream):28}  FAILED  {outcome.failure}", flush=True)
    print(f"{good} passed, {bad} failed", flush=True)
    return 1 if bad or not good else 0


def report(outcome, comparison, show):
    """Prints the differences of one comparison; all of them go to a file."""
    runs = list(describe(comparison.differences))
    if not runs:
        return
    path = WORK / file_name(f"{label(outcome.stream)}.{comparison.what}.differences")
    path.write_text("\n".join(runs) + "\n", encoding="utf-8")
    print("\n".join(runs[:show]) + (f"\n    and {len(runs) - show:,} more: {path}" if len(runs) > show else ""))
    print(f"    stream: {outcome.events}   all differences: {path}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
