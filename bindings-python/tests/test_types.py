"""What the `TypedDict`s say is what the reports have: no key more and none less, and of what type."""

import time
import types
import typing

import pytest

from service import within
from tenant_sentinel import Sentinel, _alert_types, _types, _uptime_types
from tenant_sentinel import types as typed

PRIVATE = (_types, _alert_types, _uptime_types)


def differs(value, said, where, seen):
    """What is not as it is said; the shapes that were met go into `seen`."""
    if isinstance(said, typing.ForwardRef | str):
        said = getattr(typed, getattr(said, "__forward_arg__", said))
    if typing.is_typeddict(said):
        if type(value) is not dict:
            yield f"{where} is no dict"
            return
        seen.setdefault(said, set()).update(value)
        missing, more = said.__required_keys__ - value.keys(), value.keys() - said.__annotations__.keys()
        yield from (f"{where}.{key} is missing" for key in missing)
        yield from (f"{where}.{key} is not said" for key in more)
        hints = typing.get_type_hints(said)
        for key in value.keys() & hints.keys():
            yield from differs(value[key], hints[key], f"{where}.{key}", seen)
        return
    origin, inner = typing.get_origin(said), typing.get_args(said)
    if origin in (typing.Union, types.UnionType):
        found = [list(differs(value, one, where, seen)) for one in inner]
        if all(found):
            yield min(found, key=len)[0]
    elif origin is typing.Literal:
        if value not in inner:
            yield f"{where} is {value!r}, of {inner}"
    elif origin is list:
        if type(value) is not list:
            yield f"{where} is no list"
        else:
            for number, item in enumerate(value):
                yield from differs(item, inner[0], f"{where}[{number}]", seen)
    elif origin is dict:
        for key, item in value.items():
            yield from differs(key, inner[0], where, seen)
            yield from differs(item, inner[1], f"{where}.{key}", seen)
    elif type(value) is not said:
        yield f"{where} is a {type(value).__name__}, no {said.__name__}"


# What is said, not what is answered; and a verdict that this incident is not.
NO_ANSWERS = {
    typed.SecretEnv, typed.SecretFile, typed.Verdicts, typed.TenantErrors, typed.TenantShare, typed.TenantLatency,
    typed.GroupingOptions, typed.SlackSink, typed.WebhookSink, typed.EmailSink, typed.LogSink, typed.AlertOptions,
    typed.EndpointSubject, typed.TargetSubject, typed.TargetEvidence, typed.TargetRules,
    typed.ExpectOptions, typed.ConfirmOptions, typed.Once, typed.Weekly, typed.MaintenanceOnce,
    typed.MaintenanceWeekly, typed.CheckOptions, typed.UptimeOptions,
    # What the document of the admin view says of them is what they are: `test_uptime.py`.
    typed.UptimeReport, typed.CheckStanding, typed.CheckResult, typed.UptimeWindow, typed.Days, typed.StatusCounts,
}  # fmt: skip


def shapes():
    """All answers that the module describes; what others only extend is met in them."""
    every = {shape for name, shape in described().items() if typing.is_typeddict(shape) and not name.startswith("_")}
    return every - NO_ANSWERS


def described():
    """All names that the private modules define; the rest is what they import themselves."""
    return {
        name: value
        for module in PRIVATE
        for name, value in vars(module).items()
        if getattr(value, "__module__", "") == module.__name__ or module.__annotations__.get(name) == "TypeAlias"
    }


def alerts(place):
    """What there is to know of an alert that fires, of one that is over, and of a test."""
    place.chmod(0o700)
    file = place / "sentinel.toml"
    exporter = f"[exporter]\nservice = 'alerts'\ndir = '{place}'\nevery = '0.5s'\n"
    rules = "[alerts]\nverdict = { errors = false, latency = false }\ngrouping = { first = 0, then = 0 }\n"
    sink = f"[[alerts.sinks]]\ntype = 'log'\nto = '{place / 'told'}'\n"
    file.write_text(exporter + rules + "tenant_errors = { at_least = 5, for = 0 }\n" + sink)
    with Sentinel(config=file) as sentinel:
        for _ in range(9):
            sentinel.record("acme", "/v1", 503, 1.0)
        told = within(lambda: sentinel.alerts()["sinks"][0]["delivered"] and sentinel.alerts())
        tried = sentinel.test_alert()
        file.write_text(exporter + rules + sink)
        over = within(lambda: sentinel.alerts()["recent"] and sentinel.alerts())
    return [
        ("alerts", told, typed.AlertsReport),
        ("alerts that are over", over, typed.AlertsReport),
        ("test", tried, list[typed.TriedSink]),
    ]


@pytest.fixture(scope="module")
def met(tmp_path_factory):
    """A host, an incident, and all that can be asked then: (what, its answer, its shape)."""
    place = tmp_path_factory.mktemp("host")
    place.chmod(0o700)
    now = int(time.time() * 1_000)
    with Sentinel(service="shop", dir=place, window="30s", slot="1s") as sentinel:
        quiet = Sentinel()
        for age in range(28, 0, -1):
            for number in range(40):
                sentinel.record(f"tenant-{number % 10}", "/v1/process", 200, 5.0, now - age * 1_000)

        def named():
            for number in range(40):
                fails = number % 10 == 0
                sentinel.record(f"tenant-{number % 10}", "/v1/process", 503 if fails else 200, 500.0 if fails else 5.0)
            return sentinel.verdict()["kind"] == "one_tenant"

        within(named)
        sentinel.record("tenant-0", "/v1/process", 99, -1.0)
        pending = sentinel.start("tenant-0")
        assert sentinel.publish()
        yield (
            sentinel,
            [
                ("report", sentinel.report(series=True), typed.Report),
                ("report of this process", sentinel.report(by="latency", scope="process"), typed.Report),
                ("quiet report", quiet.report(), typed.Report),
                ("tenant", sentinel.tenant("tenant-0"), typed.TenantReport),
                ("verdict", sentinel.verdict(), typed.Verdict),
                ("latency verdict", sentinel.latency_verdict(), typed.Verdict),
                ("quiet verdict", quiet.verdict(), typed.Verdict),
                ("stats", sentinel.stats(), typed.Stats),
                ("memory", sentinel.memory(), typed.Memory),
                ("sharing", sentinel.sharing(), typed.Sharing),
                *alerts(tmp_path_factory.mktemp("alerts")),
            ],
        )
        pending.discard()


def test_annotations_need_no_private_module():
    public = {name: value for name, value in described().items() if not name.startswith("_")}
    assert {"Report", "CheckOptions", "TenantId", "Rule"} <= public.keys()
    assert {name: getattr(typed, name) for name in typed.__all__} == public


def test_the_answers_are_as_they_are_said_to_be(met):
    seen = {}
    assert [wrong for what, answer, shape in met[1] for wrong in differs(answer, shape, what, seen)] == []
    # Nothing is described that there was not, or this shows nothing of it.
    assert shapes() - seen.keys() == set()
    unseen = {(shape.__name__, key) for shape, keys in seen.items() for key in shape.__annotations__.keys() - keys}
    assert unseen <= {("TenantReport", "series"), ("EndpointSubject", "endpoint"), ("TargetSubject", "target")}, unseen


def test_the_incident_has_all_that_may_be_none(met):
    report = met[1][0][1]
    verdict = report["verdict"]
    assert (verdict["kind"], verdict["tenants"]) == ("one_tenant", ["tenant-0"])
    worst = report["tenants"][0]
    # Of the row of one process, what is in flight is there; the deviation takes longer.
    assert {key for key, part in verdict.items() if part is None} <= {"endpoint"}
    assert {key for key, part in worst.items() if part is None} <= {"latency_deviation"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda report: report.pop("totals"), "report.totals is missing"),
        (lambda report: report.update(more=1), "report.more is not said"),
        (lambda report: report["totals"].update(requests=1.0), "report.totals.requests is a float, no int"),
        (lambda report: report["tenants"][0]["bound"].update(slow=None), "report.tenants[0].bound.slow is a NoneType, no int"),
        (lambda report: report["verdict"].update(kind="what"), "report.verdict.kind is 'what', of "),
    ],
)
def test_a_difference_is_seen(met, change, says):
    report = met[0].report(series=True)
    change(report)
    (found,) = differs(report, typed.Report, "report", {})
    assert found.startswith(says)
