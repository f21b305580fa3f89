"""The page in a real browser: what it says, whom it believes, and that it can be used."""
import re

import pytest
from conftest import TOKEN, Page, served

IMG = "<img src=x onerror=alert(1)>"


def rows(page, within="#rows"):
    return page.tab.locator(f"{within} .row button").all_inner_texts()


def row(page, tenant):
    return page.tab.locator(".row", has=page.tab.get_by_role("button", name=tenant, exact=True))


def test_one_tenant_is_named(page):
    page.open("/one").shows("#kind", "ONE TENANT: tenant_acme")
    assert re.search(r"tenant_acme causes \d+% of all 5xx \([\d,]+ of [\d,]+, last 30 seconds, since ", page.text("#sentence"))
    since = re.fullmatch(r"since (\d\d:\d\d:\d\d) UTC, for (.*) still active", page.text("#since"))
    # The same moment as in the sentence, wherever the reader sits.
    assert f"since {since[1]}" in page.text("#sentence")
    # Errors lead; latency says as much about itself.
    assert re.search(r"Latency: ONE TENANT tenant_acme causes .* since \d\d:\d\d:\d\d UTC, for .* still active", page.text("#other"))
    assert page.tab.title() == "ONE TENANT · Sentinel"
    first = row(page, "tenant_acme").inner_text()
    assert re.search(r"in the verdict\s+\d+ of [\d,]+ errors, [\d,]+ requests", first), first
    for part in [r"fails \d+ %", r"p95 \d+ ms, × [5-9]\.\d normal", r"mostly at /v1/process", r"\d\d %"]:
        assert re.search(part, first), part
    assert set(rows(page, "#chronic-rows")) >= {"legacy-batch", "abandoned-webhook"}
    assert not set(rows(page)) & set(rows(page, "#chronic-rows"))


def test_everyone_accuses_nobody(page):
    page.open("/everyone").shows("#kind", "EVERYONE")
    assert "of all requests: 5xx across tenants" in page.text("#sentence") and "still active" in page.text("#since")
    assert page.tab.locator(".culprit").count() == 0 and "in the verdict" not in page.text("#rows")


def test_slowness_alone_is_an_incident(page):
    page.open("/slow#by=latency").shows("#kind", "SLOW: ONE TENANT: tenant_acme")
    page.shows("#ranking-title", "Latency by tenant")
    assert page.tab.get_attribute("#verdict", "data-tone") == "bad"
    assert "tenant_acme causes" in page.text("#sentence") and "slow" in page.text("#sentence")
    since = re.fullmatch(r"since (\d\d:\d\d:\d\d) UTC, for (.*) still active", page.text("#since"))
    assert f"since {since[1]}" in page.text("#sentence")
    assert page.text("#other") == "Errors: QUIET no unusual 5xx"
    assert page.tab.title() == "SLOW: ONE TENANT · Sentinel"
    assert page.tab.locator(".culprit button").all_inner_texts() == ["tenant_acme"]
    assert "in the latency verdict" in row(page, "tenant_acme").inner_text()


def test_quiet_says_so(page):
    page.open("/quiet").shows("#kind", "QUIET")
    assert page.text("#sentence") == "no unusual 5xx"
    assert not page.tab.is_visible("#since") and not page.tab.is_visible("#other")
    assert page.tab.title() == "Sentinel"


def test_lower_bounds_are_said(page):
    page.open("/crowded").shows("#footer", "counts are lower bounds")
    assert re.search(r"up to \d+ errors and [\d,]+ requests more", page.text("#ranking"))


def test_the_footer_has_scope_age_and_ledger(page):
    page.open("/one").shows("#footer", "Scope: this process; counts are exact. As of ")
    assert re.search(r"Ledger: offered ([\d,]+); accepted \1\.", page.text("#footer"))
    assert "null" not in page.text("main") and "undefined" not in page.text("main") and "NaN" not in page.text("main")


def test_the_age_grows_while_nothing_comes(page):
    page.open("/one").shows("#footer", re.compile(r"As of \d\d:\d\d:\d\d UTC, [0-2] s ago\."))
    page.tab.route("**/report?*", lambda route: None)
    page.shows("#age", re.compile(r"^[4-7] s$"))
    # The request that hangs is not yet given up.
    assert not page.tab.is_visible("#trouble")


def test_rows_say_their_share_of_the_errors(page):
    page.open("/one#by=load").shows("#ranking-title", "Load by tenant")
    assert re.search(r"\d+ of [\d,]+ errors \(\d\d %\), [\d,]+ requests", row(page, "tenant_acme").inner_text())
    page.tab.get_by_role("radio", name="Errors", exact=True).check()
    page.shows("#ranking-title", "Errors by tenant")
    assert re.search(r"\d+ of [\d,]+ errors, [\d,]+ requests", row(page, "tenant_acme").inner_text())


def test_a_list_that_is_cut_says_so(page):
    report = {}

    def cut(route):
        answer = route.fetch()
        body = answer.json()
        body.update(report)
        route.fulfill(response=answer, json=body)

    page.tab.route("**/report?*", cut)
    page.open("/one").shows("#chronic-of", re.compile(r"Only those among the first 20 of this ranking; there may be more\."))
    # As when everybody has a row.
    report["totals"] = page.tab.evaluate("(async () => (await (await fetch('/open/report?limit=1')).json()).totals)()") | {"tenants": 20}
    page.tab.locator("#chronic-of", has_not_text="Only").wait_for(state="attached")


def test_each_list_has_its_errors_slot_by_slot(page):
    page.open("/one").shows("#kind", "ONE TENANT")
    assert "Everybody: errors each 10 s, at most " in page.tab.get_attribute("#fleet svg", "aria-label")
    lines = page.tab.locator(".row svg.spark path.line")
    assert lines.count() == len(rows(page)) + len(rows(page, "#chronic-rows"))
    assert lines.first.get_attribute("d").count("L") > 50


def test_an_id_is_text(page):
    page.open("/hostile").shows("#kind", "ONE TENANT: " + IMG)
    page.tab.get_by_role("button", name=IMG, exact=True).click()
    page.shows("#detail-title", IMG)
    assert page.tab.locator("img").count() == 0 and page.tab.locator("script").count() == 1


@pytest.mark.parametrize("tenant", [
    "</script><script>alert(2)</script>", "team/a%2Fb?window=1#x", "..",
    r"\u{202e}gnp.eca\u{202c}\u{0}\u{1b}[31m\u{a}",
])
def test_any_id_opens_its_details(page, tenant):
    page.open("/one").shows("#kind", "ONE TENANT")
    page.tab.get_by_role("button", name=tenant, exact=True).click()
    page.shows("#detail-title", tenant)
    assert page.text("#detail-title") == tenant


def test_nothing_else_runs_in_it(page):
    page.expected = ("Content Security Policy",)
    page.open("/quiet").shows("#kind", "QUIET")
    assert page.tab.evaluate("""() => {
        const script = document.createElement('script');
        script.textContent = 'window.ran = 1';
        const image = document.createElement('img');
        image.setAttribute('onerror', 'window.ran = 2');
        image.src = '/nothing.png';
        document.body.setAttribute('style', 'display: none');
        document.body.append(script, image);
        return fetch('http://127.0.0.2:1/').then(() => false, () => true);
    }""")
    page.tab.wait_for_timeout(200)
    assert page.tab.evaluate("window.ran") is None and page.tab.is_visible("#kind")
    assert sum("Content Security Policy" in text for text in page.said) >= 4
    page.asked = [url for url in page.asked if "127.0.0.2" not in url]


def test_the_token_is_asked_for_and_kept_for_the_tab(page, chromium, base):
    page.expected = ("401 (Unauthorized)",)
    page.open("/one", token=None)
    page.tab.get_by_label("Admin token").wait_for()
    # Nothing is shown before, and the cursor is where it is wanted.
    assert "tenant_acme" not in page.tab.content() and not page.tab.is_visible("#verdict")
    assert page.tab.evaluate("document.activeElement.id") == "token"
    for wrong in ["not-the-token", "with space", "пароль-пароль"]:
        page.tab.keyboard.type(wrong)
        page.tab.keyboard.press("Enter")
        page.shows("#trouble", "the admin token is wrong")
        assert page.tab.input_value("#token") == "" and not page.tab.is_visible("#data")
    page.tab.fill("#token", f" {TOKEN} ")
    page.tab.get_by_role("button", name="Show").click()
    page.shows("#kind", "ONE TENANT")
    assert not page.tab.is_visible("#login") and not page.tab.is_visible("#trouble")
    page.tab.reload()
    page.shows("#kind", "ONE TENANT")
    assert page.tab.evaluate("[localStorage.length, document.cookie, location.href.includes('horse')]") == [0, "", False]
    other = page.context.new_page()
    other.goto(base + "/one")
    other.get_by_label("Admin token").wait_for()


def test_a_refused_token_takes_everything_back(page):
    page.expected = ("401 (Unauthorized)",)
    page.open("/one").shows("#kind", "ONE TENANT")
    page.tab.get_by_role("button", name="tenant_acme", exact=True).click()
    page.shows("#detail-title", "tenant_acme")
    page.tab.route("**/one/**", lambda route: route.fulfill(status=401, json={"detail": "the admin token is wrong"}))
    page.shows("#trouble", "the admin token is wrong")
    assert not page.tab.is_visible("#detail") and page.tab.title() == "Sentinel"
    for shown in ["tenant_acme", "legacy-batch", "/v1/process", "ONE TENANT:"]:
        assert shown not in page.tab.locator("main, dialog").evaluate_all("all => all.map(one => one.textContent).join()"), shown
    page.tab.unroute("**/one/**")
    # No click is needed, which a dialog in front would take away.
    assert page.tab.evaluate("document.activeElement.id") == "token"
    page.tab.keyboard.type(TOKEN)
    page.tab.keyboard.press("Enter")
    page.shows("#kind", "ONE TENANT: tenant_acme")


HIDE = "Object.defineProperty(document, 'hidden', { get: () => window.away, configurable: true });"
TURN = "away => { window.away = away; document.dispatchEvent(new Event('visibilitychange')); }"


def test_a_token_is_checked_even_if_one_looks_away(page):
    page.expected = ("401 (Unauthorized)",)
    page.tab.add_init_script("window.away = false;" + HIDE)
    page.open("/one", token=None)
    page.tab.get_by_label("Admin token").wait_for()
    held = []
    page.tab.route("**/report?*", lambda route: held.append(route))
    with page.tab.expect_request("**/report?*"):
        page.tab.keyboard.type(TOKEN)
        page.tab.keyboard.press("Enter")
    page.tab.evaluate(TURN, True)
    held[0].continue_()
    page.tab.unroute("**/report?*")
    page.tab.wait_for_timeout(500)
    assert page.tab.is_visible("#login")
    page.tab.evaluate(TURN, False)
    page.shows("#kind", "ONE TENANT")
    assert not page.tab.is_visible("#login")


def test_who_is_not_looked_at_does_not_ask(page):
    page.tab.add_init_script("window.away = true;" + HIDE)
    page.open("/one")
    page.tab.wait_for_timeout(500)
    assert not [url for url in page.asked if "report" in url] and page.text("#kind") == "…"
    page.tab.evaluate(TURN, False)
    page.shows("#kind", "ONE TENANT")
    page.tab.evaluate(TURN, True)
    page.tab.wait_for_timeout(300)
    asked = len(page.asked)
    page.tab.wait_for_timeout(2_500)
    assert len(page.asked) == asked


def test_public_asks_nobody(page):
    page.open("/open", token=None).shows("#kind", "ONE TENANT")


def test_without_a_token_configured_it_says_why(page):
    page.expected = ("403 (Forbidden)",)
    page.open("/closed", token=None).shows("#sentence", "no admin token is configured")
    assert page.text("#kind") == "NO ANSWER" and not page.tab.is_visible("#login")


@pytest.mark.parametrize("path", ["/one", "/one/"])
def test_it_works_with_and_without_a_slash_at_the_end(page, path):
    page.open(path).shows("#kind", "ONE TENANT")


def test_windows_and_rankings_switch(page):
    page.open("/one").shows("#ranking-title", "Errors by tenant, last 10 min")
    for label, title in [("1 min", "1 min"), ("2 min", "2 min"), ("5 min", "5 min"), ("10 min", "10 min")]:
        page.tab.get_by_role("radio", name=label, exact=True).check()
        page.shows("#ranking-title", f"Errors by tenant, last {title}")
    for label in ["Error rate", "Latency", "Load", "Requests"]:
        page.tab.get_by_role("radio", name=label, exact=True).check()
        page.shows("#ranking-title", f"{label} by tenant, last 10 min")
        assert rows(page)
    # Nobody is set apart where failing is not what counts.
    assert not page.tab.is_visible("#chronic") and "legacy-batch" in rows(page)
    page.tab.get_by_role("radio", name="2 min", exact=True).check()
    page.shows("#ranking-title", "Requests by tenant, last 2 min")
    page.tab.reload()
    page.shows("#ranking-title", "Requests by tenant, last 2 min")
    assert page.tab.locator("#window label").all_inner_texts() == ["1 min", "2 min", "5 min", "10 min"]


@pytest.mark.parametrize("window", ["600", "99999", "x", "90"])
def test_any_window_in_the_address_is_taken_or_left(page, window):
    page.open(f"/quiet#by=load&window={window}").shows("#ranking-title", "Load by tenant, last " + ("90 s" if window == "90" else "10 min"))


def test_the_keyboard_is_enough(page):
    page.open("/one").shows("#kind", "ONE TENANT")
    focused = "document.activeElement.value ?? document.activeElement.textContent"
    page.tab.keyboard.press("Tab")
    page.tab.keyboard.press("ArrowRight")
    page.shows("#ranking-title", "Error rate by tenant")
    page.tab.keyboard.press("ArrowLeft")
    page.shows("#ranking-title", "Errors by tenant")
    page.tab.keyboard.press("Tab")
    page.tab.keyboard.press("Tab")
    assert page.tab.evaluate("document.activeElement.textContent") == "tenant_acme", page.tab.evaluate(focused)
    # A refresh makes the rows anew, and leaves the focus where it was.
    with page.tab.expect_response("**/report?*"):
        pass
    page.tab.wait_for_timeout(200)
    assert page.tab.evaluate("document.activeElement.textContent") == "tenant_acme"
    page.tab.keyboard.press("Enter")
    page.shows("#detail-title", "tenant_acme")
    page.tab.keyboard.press("Escape")
    page.tab.locator("#detail").wait_for(state="hidden")
    assert page.tab.evaluate("document.activeElement.textContent") == "tenant_acme"


def test_a_tenant_shows_its_endpoints_and_percentiles(page):
    page.open("/one").shows("#kind", "ONE TENANT")
    page.tab.get_by_role("button", name="tenant_acme", exact=True).click()
    page.shows("#detail-title", "tenant_acme")
    detail = page.text("#detail")
    assert re.search(r"p50\s+\d+ ms\s+p95\s+\d+ ms\s+p99\s+\d+ ms\s+p95 / normal p95\s+× [5-9]\.\d", detail), detail
    assert page.tab.locator("#detail tbody th").first.inner_text() == "/v1/process"
    page.tab.get_by_role("button", name="Close").click()
    page.tab.locator("#detail").wait_for(state="hidden")


def test_only_the_verdict_is_read_out(page):
    page.open("/one").shows("#kind", "ONE TENANT")
    tree = page.tab.locator("main").aria_snapshot()
    assert "status: \"ONE TENANT: tenant_acme\"" in tree, tree
    for part in ["group \"Ranked by\"", "group \"Last\"", "radio \"Errors\" [checked]", "list", "button \"tenant_acme\"", "of all errors"]:
        assert part in tree, part
    heard = "window.heard = 0; new MutationObserver(() => window.heard++).observe(document.getElementById('kind'), { childList: true, subtree: true, characterData: true })"
    page.tab.evaluate(heard)
    with page.tab.expect_response("**/report?*"):
        pass
    page.tab.wait_for_timeout(200)
    assert page.tab.evaluate("window.heard") == 0


def test_it_says_when_it_cannot_refresh_and_recovers(page, chromium):
    with served() as (address, process):
        page.expected = ("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "ERR_INCOMPLETE_CHUNKED_ENCODING")
        page.base = address
        page.open("/one").shows("#kind", "ONE TENANT")
        process.kill()
        process.wait()
        page.shows("#trouble", re.compile(r"Cannot refresh: the service cannot be reached. The data shown is \d+ s old."))
        assert "ONE TENANT" in page.text("#kind")
        with served(address.removeprefix("http://")):
            page.tab.locator("#trouble").wait_for(state="hidden", timeout=60_000)


HTML = {"content_type": "text/html", "body": "<p>please sign in</p>"}


def test_an_answer_of_somebody_else_is_no_report(page):
    page.tab.route("**/report?*", lambda route: route.fulfill(**HTML))
    page.open("/one").shows("#sentence", "the answer is not from this service")
    assert page.text("#kind") == "NO ANSWER"
    page.tab.unroute("**/report?*")
    page.shows("#kind", "ONE TENANT")
    assert page.tab.locator("#window label").all_inner_texts() == ["1 min", "2 min", "5 min", "10 min"]
    for answer in [HTML, {"json": {}}, {"json": None}]:
        page.tab.route("**/report?*", lambda route: route.fulfill(**answer))
        page.shows("#trouble", re.compile(r"Cannot refresh: the answer is not from this service. The data shown is [1-9]\d* s old."))
        assert "ONE TENANT" in page.text("#kind") and "NaN" not in page.text("main")
        page.tab.unroute("**/report?*")
        page.tab.locator("#trouble").wait_for(state="hidden")
    # Neither is one that lacks what is to be shown, and the fault is not the network's.
    page.tab.route("**/report?*", lambda route: route.fulfill(json={"as_of": 1, "window_ms": 600_000}))
    page.shows("#trouble", "Cannot refresh: the answer cannot be shown")


@pytest.mark.parametrize("answer, why", [
    ({"status": 404, "json": {"detail": "no tenant"}}, "no tenant"),
    ({"status": 502, **HTML}, "HTTP 502"),
    (HTML, "the answer is not from this service"),
    ({"json": {"as_of": 1}}, "the answer cannot be shown"),
])
def test_details_that_cannot_be_had_are_said(page, answer, why):
    page.expected = ("404 (Not Found)", "502 (Bad Gateway)")
    page.open("/one").shows("#kind", "ONE TENANT")
    page.tab.route("**/tenants/**", lambda route: route.fulfill(**answer))
    page.tab.get_by_role("button", name="tenant_acme", exact=True).click()
    page.shows("#detail-trouble", f"Cannot show tenant_acme: {why}")
    # It stays: a refresh is not what takes it away.
    with page.tab.expect_response("**/report?*"):
        pass
    page.tab.wait_for_timeout(200)
    assert page.text("#detail-trouble").startswith(f"Cannot show tenant_acme: {why}")
    page.tab.unroute("**/tenants/**")
    page.shows("#detail-rows", "/v1/process")
    assert not page.tab.is_visible("#detail-trouble")


def test_details_are_refreshed_and_give_the_focus_back(page):
    page.expected = ("404 (Not Found)",)
    page.open("/one").shows("#kind", "ONE TENANT")
    page.tab.get_by_role("button", name="tenant_acme", exact=True).click()
    page.shows("#detail-age", "as of")
    first, age = page.text("#detail-facts"), page.text("#detail-age")
    for _ in range(2):
        with page.tab.expect_response("**/tenants/tenant_acme"):
            pass
    page.tab.locator("#detail-age", has_not_text=age).wait_for()
    assert page.text("#detail-facts") != first
    # What has the focus in it keeps it.
    assert page.tab.evaluate("document.activeElement.id") == "detail-close"
    page.tab.route("**/tenants/**", lambda route: route.fulfill(status=404, json={"detail": "no tenant"}))
    page.shows("#detail-trouble", re.compile(r"Cannot refresh: no tenant. The data shown is \d+ s old."))
    assert page.tab.is_visible("#detail-rows")
    page.tab.keyboard.press("Escape")
    page.tab.locator("#detail").wait_for(state="hidden")
    # Not a function that is waited for: what it says is evaluated in the page, again and again, which the policy does not allow.
    page.tab.locator(":focus", has_text=re.compile("^tenant_acme$")).wait_for()


@pytest.mark.parametrize("path", ["/hostile", "/slow"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_clipped(chromium, base, width, scheme, path):
    page = Page(chromium, base, viewport={"width": width, "height": 844}, color_scheme=scheme)
    page.open(path).shows("#kind", "ONE TENANT")
    page.shows("#rows", "tenant")
    assert page.tab.evaluate("document.documentElement.scrollWidth") <= width
    page.tab.locator("#alerts").wait_for() if path == "/hostile" else None
    assert page.tab.evaluate("document.documentElement.scrollWidth") <= width
    dark = page.tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 19, 23)"
    assert dark == (scheme == "dark")
    page.context.close()


def test_alerts_say_what_fires_what_did_and_who_was_told(page):
    page.open("/one").shows("#alerts-rows", "firing")
    first = page.tab.locator("#alerts-rows li").first.inner_text()
    assert first.startswith("firing\n🚨 Sentinel: Tenant tenant_acme responsible for") and "since " in first, first
    over = page.tab.locator("#alerts-rows li.over")
    assert over.count() == 1 and over.inner_text().startswith("over\n✅ Sentinel: resolved after 4 minutes: Everyone is hit")
    sinks = page.tab.locator("#alerts-sinks li").all_inner_texts()
    assert sinks == [
        "slack\n3 offered, 3 delivered, 0 pending",
        "webhook pager\nretrying\n3 offered, 1 delivered, 2 pending\nlast error: 503",
        "email <b>ops</b>\ndisabled\n3 offered, 1 delivered, 2 pending\nlast error: 550",
    ], sinks
    # Ids are text here too.
    page.open("/hostile").shows("#alerts-rows", IMG)
    assert page.tab.locator("#alerts img, #alerts b").count() == 0


def test_alerts_that_nobody_gets_and_none_at_all(page):
    page.open("/quiet").shows("#alerts-rows", "No alert is active.")
    assert page.text("#alerts-sinks") == "No sink is configured, so alerts are sent to nobody."
    page.open("/slow").shows("#kind", "ONE TENANT")
    page.shows("#rows", "tenant")
    assert page.tab.locator("#alerts").is_hidden()


def test_alerts_that_cannot_be_had_take_nothing_else_away(page):
    page.expected = ("503",)
    detail = "the exporter has not answered within 250 ms"
    page.tab.route("**/alerts", lambda route: route.fulfill(status=503, json={"status": 503, "detail": detail}))
    page.open("/one").shows("#kind", "ONE TENANT")
    page.shows("#alerts-trouble", "Cannot be shown: " + detail)
    assert page.tab.locator("#trouble").is_hidden()
    page.tab.unroute("**/alerts")
    page.shows("#alerts-rows", "firing")
    page.tab.locator("#alerts-trouble").wait_for(state="hidden")
