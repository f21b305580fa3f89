#!/usr/bin/env python3
"""Tests of the comparison itself: equal passes, and each kind of difference fails.

Run with target/venv/bin/python tests/reference/test_compare.py
"""
import contextlib
import io
import json
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
import compare
from compare import Second

SHARED = compare.ROOT.parent / "shared"

# Follows a stream by the reference itself; with --alter KEY=JSON one field of one second that names someone is changed.
STUB = """
import json, sys
from pathlib import Path
sys.dont_write_bytecode = True
sys.path.insert(0, {here!r})
import compare
alter, events, errors = sys.argv[1], sys.argv[2], sys.argv[4]
seconds = [list(compare.reference_seconds(Path({shared!r}), events, errors, latency)) for latency in (False, True)]
rows = [dict(at_ms=e.at_ms, errors=e._asdict(), latency=l._asdict()) for e, l in zip(*seconds)]
named = [r for r in rows if r["errors"]["kind"] == "one_tenant"]
if alter == "last":
    rows.pop()
elif alter != "nothing":
    what, key, value = alter.split("=")
    named[len(named) // 2][what][key] = json.loads(value)
print("\\n".join(map(json.dumps, rows)))
"""


def second(at, kind="one_tenant", tenants=("a",), endpoint=None, window_ms=30_000, share=0.5, excess_share=0.9):
    return Second(at, kind, tenants, endpoint, window_ms, share, excess_share)


QUIET = dict(kind="quiet", tenants=(), window_ms=None, share=None, excess_share=None)


class Seconds(unittest.TestCase):
    def compare(self, sentinel, reference, reversed_ties=(), shares=True):
        return compare.compare_seconds("errors", sentinel, reference, lambda: reversed_ties, shares)

    def test_equal_seconds_pass(self):
        seconds = [second(1000, **QUIET), second(2000), second(3000)]
        c = self.compare(seconds, seconds)
        self.assertTrue(compare.passed(c))
        self.assertEqual(compare.summary(compare.Stream("one_ep@20x5", 1), c),
                         "one_ep@20x5 seed 1            errors          equal 3 of 3 seconds, 2 not quiet")

    def test_each_field_counts(self):
        for changed in (dict(kind="few_tenants"), dict(tenants=("b",)), dict(tenants=("a", "b")), dict(endpoint="/x"),
                        dict(window_ms=60_000), dict(window_ms=None), dict(share=0.51), dict(excess_share=None)):
            with self.subTest(changed):
                c = self.compare([second(1000), second(2000, **changed)], [second(1000), second(2000)])
                self.assertFalse(compare.passed(c))
                self.assertEqual([(d.at_ms, d.tie) for d in c.differences], [(2000, False)])

    def test_shares_can_be_left_out(self):
        self.assertTrue(compare.passed(self.compare([second(1000, share=0.51)], [second(1000)], shares=False)))

    def test_a_missing_or_an_additional_second_fails(self):
        for sentinel, reference in (([second(1000)], [second(1000), second(2000)]), ([second(1000), second(2000)], [second(1000)])):
            c = self.compare(sentinel, reference)
            self.assertFalse(compare.passed(c))
            self.assertEqual([d.at_ms for d in c.differences], [2000])

    def test_nothing_compared_is_no_pass(self):
        self.assertFalse(compare.passed(self.compare([], [])))

    def test_a_tie_is_forgiven_only_as_the_reference_in_reverse(self):
        reference, other = [second(1000)], [second(1000, tenants=("b",))]
        forgiven = self.compare([second(1000, tenants=("b",))], reference, other)
        self.assertTrue(compare.passed(forgiven))
        self.assertIn("1 explained by equal excess", compare.summary(compare.Stream("x", 1), forgiven))
        self.assertFalse(compare.passed(self.compare([second(1000, tenants=("c",))], reference, other)))

    def test_runs_of_one_difference_are_one_entry(self):
        c = self.compare([second(t, tenants=("b",)) for t in (1000, 2000, 4000)], [second(t) for t in (1000, 2000, 4000)])
        entries = list(compare.describe(c.differences))
        self.assertEqual(len(entries), 2)
        self.assertIn("1000 .. 2000 (2 seconds)", entries[0])
        self.assertIn("sentinel   one_tenant b", entries[0])
        self.assertIn("reference  one_tenant a", entries[0])


@unittest.skipUnless((SHARED / "tools" / "verdict_reference.py").is_file(), f"SKIPPED: no reference in {SHARED}")
class Program(unittest.TestCase):
    def run_with(self, alter):
        """Exit code and output of a comparison of one stream with the stub in the place of follow."""
        with tempfile.TemporaryDirectory() as directory, contextlib.redirect_stdout(io.StringIO()) as out:
            stub = Path(directory) / "stub.py"
            stub.write_text(STUB.format(here=str(Path(compare.__file__).parent), shared=str(SHARED)), encoding="utf-8")
            code = compare.main(["--only", "one_ep@20x5", "--jobs", "1", "--follow", sys.executable, str(stub), alter])
        return code, out.getvalue()

    def test_the_reference_equals_itself(self):
        code, out = self.run_with("nothing")
        self.assertEqual((code, out.splitlines()[-1]), (0, "2 passed, 0 failed"), out)

    def test_one_altered_second_fails(self):
        for alter in ('errors=window_ms=10000', 'errors=endpoint=null', 'errors=tenants=["nobody"]', 'latency=kind="everyone"'):
            with self.subTest(alter):
                code, out = self.run_with(alter)
                self.assertEqual((code, out.splitlines()[-1]), (1, "1 passed, 1 failed"), out)
                self.assertRegex(out, r"(?m)^    \d{13}$")

    def test_a_second_too_few_fails(self):
        code, out = self.run_with("last")
        self.assertEqual((code, out.splitlines()[-1]), (1, "0 passed, 2 failed"), out)

    def test_a_follower_that_fails_is_a_failure(self):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            code = compare.main(["--only", "one_ep@20x5", "--jobs", "1", "--follow", "false"])
        self.assertEqual(code, 1)
        self.assertIn("follow ended with 1", out.getvalue())

    def test_equal_but_for_rounding_is_a_tie(self):
        import numpy
        excess = numpy.array([2.0, 5.0 - 1e-12, 5.0, 1.0])
        self.assertEqual(list(numpy.argsort(-excess, kind="stable")), [2, 1, 0, 3])
        tied = compare.EqualExcessNumpy(numpy)
        self.assertEqual(list(tied.argsort(-excess, kind="stable")), [1, 2, 0, 3])
        self.assertEqual(tied.argmax(excess), 1)
        self.assertEqual(tied.argmax(numpy.array([False, True])), 1)

    def test_reversed_ties_change_only_ties(self):
        """Two tenants that are mirror images fail at once: their order is open, so the reversed reference may only swap them."""
        lines = [{"tenant_id": t, "endpoint": "/x", "status_code": 500 if at >= 300_000 and t in "ab" else 200, "latency_ms": 5.0,
                  "timestamp": 1_700_000_000_000 + at} for at in range(0, 400_000, 500) for t in "abcdefgh"]
        with tempfile.TemporaryDirectory() as directory:
            events = Path(directory) / "ties.jsonl"
            events.write_text("".join(json.dumps(x) + "\n" for x in lines), encoding="utf-8")
            name, reverse = (list(compare.reference_seconds(SHARED, events, reverse_ties=r)) for r in (False, True))
        self.assertEqual(len(name), len(reverse))
        self.assertTrue(any(s.tenants == ("a", "b") for s in name))
        self.assertEqual(name, reverse)


class Absent(unittest.TestCase):
    def test_without_shared_it_is_skipped_loudly(self):
        with tempfile.TemporaryDirectory() as directory, contextlib.redirect_stdout(io.StringIO()) as out:
            code = compare.main(["--shared", directory])
        self.assertEqual(code, 0)
        self.assertTrue(out.getvalue().startswith("SKIPPED"))


if __name__ == "__main__":
    unittest.main()
