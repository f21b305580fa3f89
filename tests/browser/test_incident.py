"""The live incident of `make demo`: the answer on its page."""
import subprocess

from conftest import ROOT, Page, target


def test_the_page_of_the_live_incident_names_the_tenant(chromium):
    program = target() / "debug/examples/axum_incident"
    process = subprocess.Popen([program, "--calm", "2", "--seconds", "180"], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        base = process.stdout.readline().split()[-1]
        page = Page(chromium, base)
        page.open("/sentinel/", "demo-token")
        page.tab.get_by_text("ONE TENANT: tenant_acme").wait_for(timeout=170_000)
        assert page.said == []
        page.context.close()
    finally:
        process.kill()
        process.wait()
