"""The page's section on uptime: what is up, for how much of the time, and what nobody knows; in every state, for everybody who reads it."""
import re

import pytest
from conftest import Page

IMG = "<img src=x onerror=alert(1)>"
DAY_MS = 86_400_000


def check(page, name):
    return page.tab.locator("#uptime-rows > li", has=page.tab.get_by_text(name, exact=True))


def names(page):
    return page.tab.locator("#uptime-rows strong.id").all_inner_texts()


def badges(page, name):
    return check(page, name).locator(".badge").all_inner_texts()


def beat(page):
    with page.tab.expect_response("**/uptime?*"):
        pass
    page.tab.wait_for_timeout(200)


def changed(page, change):
    """Answers with what the service says, changed."""
    def answer(route):
        response = route.fetch()
        body = response.json()
        change(body)
        route.fulfill(response=response, json=body)

    page.tab.route("**/uptime?*", answer)


def test_what_is_down_comes_first_and_says_why(page):
    page.open("/one").shows("#uptime-counts", "10 checks: 3 down, 3 unknown, 4 up. As of ")
    assert [badges(page, name)[0] for name in names(page)] == ["down"] * 3 + ["unknown"] * 3 + ["up"] * 4
    assert names(page) == [IMG, "payments", "search", "legacy", "new", "silent", *sorted(names(page)[6:])]
    payments = check(page, "payments").inner_text()
    assert re.match(r"down\s+payments\s+https://payments\.example:8443/\s+since \d\d:\d\d:\d\d UTC, for 2 h 50 min\s+timeout\s", payments), payments
    assert re.search(r"24 h\s+88\.\d+\s%\s+100 % watched\s+7 d\s+97\.\d+\s%\s+100 % watched\s+30 d\s+99\.\d+\s%\s+100 % watched\s+90 d\s+98\.\d+\s%\s+95 % watched", payments), payments
    assert "status 503" in check(page, "search").inner_text() and badges(page, "search") == ["down", "flapping"]
    assert badges(page, "legacy") == ["unknown", "paused"] and badges(page, "reports") == ["up", "maintenance"]
    assert badges(page, "mail")[0] == "up" and re.fullmatch(r"certificate expires in 5 d [67] h", badges(page, "mail")[1])
    # Its certificate is good for longer, and what may be a secret in a path is not there.
    assert badges(page, "shop") == ["up"] and "https://shop.example/…" in check(page, "shop").inner_text()
    silent = check(page, "silent").inner_text()
    assert "last known up since 2" in silent and re.search(r"last result [23] d.* ago: answered in 83 ms", silent), silent
    assert re.search(r"24 h\s+–\s+0 % watched", check(page, "new").inner_text()) and "no result yet" in check(page, "new").inner_text()
    for text in ["null", "undefined", "NaN", "canary"]:
        assert text not in page.text("#uptime"), text


def test_a_name_is_text(page):
    page.open("/one").shows("#uptime-rows", IMG)
    assert page.tab.locator("#uptime img").count() == 0 and page.tab.locator("script").count() == 1


def test_each_day_has_its_text_and_its_own_look(page):
    page.open("/one").shows("#uptime-rows", "shop")
    days = check(page, "shop").locator(".days li")
    assert days.count() == 90
    texts = days.all_inner_texts()
    assert texts == days.evaluate_all("all => all.map(one => one.title)")
    dates = [text.split(":")[0] for text in texts]
    assert dates == sorted(set(dates)) and all(re.match(r"\d{4}-\d\d-\d\d: (up|down|maintenance|unknown)", text) for text in texts)
    # All four, each of another height or fill, so that nobody needs the colours.
    look = """all => all.map(one => {
        const style = getComputedStyle(one);
        return [one.className, Math.round(one.getBoundingClientRect().height), style.borderTopWidth, one.querySelector('i') !== null].join();
    })"""
    looks = set(days.evaluate_all(look))
    assert {look.split(",")[0] for look in looks} == {"up", "down", "maintenance", "unknown"} and len(looks) == 4, looks
    assert len({look.split(",", 1)[1] for look in looks}) == 4, looks
    # Those who have no pointer read it too, and the days are a list with a name.
    # On how many dates its failures lie depends on the time of the day.
    assert re.search(r"90 days: down on [345], last on \d{4}-\d\d-\d\d for \d+ (min|s)", check(page, "shop").inner_text())
    tree = check(page, "shop").aria_snapshot()
    assert 'list "Day by day, the last 90 days"' in tree and tree.count("listitem") >= 90, tree


def test_a_day_says_what_it_is_made_of(page):
    def made(body):
        body["checks"] = body["checks"][:1]
        days = body["checks"][0]["days"]
        for part in ["up_ms", "down_ms", "maintenance_ms", "unknown_ms"]:
            days[part] = [0] * 90
        # Down for a second; mostly unknown; as long as can be; nothing at all.
        days["up_ms"][0], days["down_ms"][0] = DAY_MS - 1_000, 1_000
        days["up_ms"][1], days["unknown_ms"][1] = 3_600_000, DAY_MS - 3_600_000
        days["down_ms"][2] = DAY_MS
        days["maintenance_ms"][3], days["up_ms"][3] = DAY_MS - 60_000, 60_000

    changed(page, made)
    page.open("/one").shows("#uptime-rows", IMG)
    days = page.tab.locator("#uptime-rows .days li")
    found = [(text.split(": ", 1)[1], kind) for text, kind in
             days.evaluate_all("all => all.slice(0, 5).map(one => [one.title, one.className])")]
    assert found == [
        ("down 1 s, up 23 h 59 min", "down"), ("up 1 h, unknown 23 h", "unknown"), ("down", "down"),
        ("up 1 min, maintenance 23 h 59 min", "maintenance"), ("unknown", "unknown"),
    ]
    heights = page.tab.locator("#uptime-rows .days i").evaluate_all("all => all.map(one => parseFloat(one.style.height))")
    assert 40 < heights[0] < 40.1 and heights[1] == 100


def test_a_dead_network_is_said_once_and_on_top(page):
    page.open("/hostile").shows("#uptime-network", re.compile(r"^The prober’s own network is down since \d\d:\d\d:\d\d UTC, for 25 min\. Checks that fail "))
    assert "5 checks: 0 down, 5 unknown, 0 up" in page.text("#uptime-counts")
    assert page.tab.locator("#uptime-rows > li", has_text="own network").count() == 5
    page.open("/one").shows("#uptime-rows", "shop")
    assert page.tab.locator("#uptime-network").is_hidden()


def test_ten_thousand_are_cut_with_a_count_and_a_stale_answer_says_so(page):
    page.open("/everyone").shows("#uptime-counts", "10,000 checks: 10 down, 0 unknown, 9,990 up")
    page.shows("#uptime-trouble", "no probe has ended for 3 minutes; all processes of the service need the same checks.")
    rows = page.tab.locator("#uptime-rows > li")
    assert rows.count() == 51 and rows.last.inner_text() == "and 9,950 more"
    assert names(page)[:11] == [f"check-{at:05}" for at in [*range(7, 10_000, 1_000), 0]]
    assert rows.first.inner_text().startswith("down\ncheck-00007") and "dns" in rows.first.inner_text()


def test_without_checks_there_is_no_section(page):
    # `/quiet` has an empty list of them, `/slow` none.
    for path in ["/quiet", "/slow"]:
        page.open(path).shows("#rows", "tenant")
        beat(page)
        assert page.tab.locator("#uptime").is_hidden(), path


def test_checks_that_cannot_be_had_take_nothing_else_away(page):
    page.expected = ("503",)
    detail = "the exporter has not answered within 250 ms"
    page.tab.route("**/uptime?*", lambda route: route.fulfill(status=503, json={"status": 503, "detail": detail}))
    page.open("/one").shows("#kind", "ONE TENANT")
    page.shows("#uptime-trouble", "Cannot be shown: " + detail)
    assert page.tab.locator("#trouble").is_hidden()
    page.tab.unroute("**/uptime?*")
    page.shows("#uptime-rows", "payments")
    page.tab.locator("#uptime-trouble").wait_for(state="hidden")


def test_a_refused_token_takes_the_checks_back(page):
    page.expected = ("401 (Unauthorized)",)
    page.open("/one").shows("#uptime-rows", "payments")
    page.tab.route("**/one/**", lambda route: route.fulfill(status=401, json={"detail": "the admin token is wrong"}))
    page.shows("#trouble", "the admin token is wrong")
    assert page.tab.locator("#uptime").is_hidden()
    held = page.tab.locator("#uptime").evaluate("section => section.textContent")
    assert "payments" not in held and "10 checks" not in held


def test_what_is_pointed_at_stays(page):
    page.open("/one").shows("#uptime-rows", "payments")
    page.tab.evaluate("document.querySelectorAll('#uptime-rows .days').forEach(bar => { bar.marked = true; })")
    beat(page)
    beat(page)
    bars = page.tab.locator("#uptime-rows .days")
    assert bars.count() == 10 and bars.evaluate_all("all => all.every(bar => bar.marked)")
    # A row whose bar changes gets a new one, and a list that shrinks has no rows left over.

    def fewer(body):
        body["checks"] = body["checks"][:2]
        body["counts"] = {"down": 2, "unknown": 0, "up": 0}
        body["checks"][0]["days"]["unknown_ms"][0] -= 1
        body["checks"][0]["days"]["down_ms"][0] = 1

    changed(page, fewer)
    page.shows("#uptime-counts", "2 checks: 2 down")
    assert bars.count() == 2 and bars.evaluate_all("all => all.map(bar => bar.marked === true)") == [False, True]


@pytest.mark.parametrize("path", ["/one", "/hostile", "/everyone"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_clipped_and_all_can_be_read(chromium, base, width, scheme, path):
    page = Page(chromium, base, viewport={"width": width, "height": 844}, color_scheme=scheme)
    page.open(path).shows("#uptime-rows", "https://")
    assert page.tab.evaluate("document.documentElement.scrollWidth") <= width
    clipped = "all => all.filter(one => one.scrollWidth > one.clientWidth + 1 && !one.closest('.visually-hidden')).map(one => one.textContent)"
    assert page.tab.locator("#uptime p, #uptime dd, #uptime dt, #uptime .facts, #uptime .who").evaluate_all(clipped) == []
    # WCAG: text 4.5 to 1, what is drawn 3 to 1, each against the card.
    contrast = """(all, property) => {
        const of = color => {
            const [r, g, b] = color.match(/[0-9.]+/g).slice(0, 3).map(n => n / 255).map(n => n <= 0.03928 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
        };
        const card = of(getComputedStyle(document.getElementById('uptime')).backgroundColor);
        return Math.min(...all.map(one => of(getComputedStyle(one)[property])).map(ink => Math.max(ink, card) / Math.min(ink, card)));
    }"""
    assert page.tab.locator("#uptime :is(.badge, strong, dd, dt, small, p, .facts > span)").evaluate_all(contrast, "color") >= 4.5
    assert page.tab.locator("#uptime .days :is(.up, .unknown, i)").evaluate_all(contrast, "backgroundColor") >= 3
    page.context.close()
