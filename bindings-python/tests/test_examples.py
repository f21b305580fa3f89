"""Each example runs by its one command and names who fails."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from service import PATIENCE, free_port, within

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("framework", ["fastapi", "flask", "django"])
def test_an_example(framework):
    port = free_port()
    main = EXAMPLES / f"{framework}_app" / "main.py"
    command = [sys.executable, "-B", main, "--port", str(port), "--fails-after", "5", "--seconds", "60"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def ask():
        url = f"http://127.0.0.1:{port}/sentinel/report"
        asked = urllib.request.Request(url, headers={"authorization": "Bearer correct-horse-battery"})
        try:
            with urllib.request.urlopen(asked) as answer:
                found = json.load(answer)
        except OSError:
            assert running.poll() is None
            return None
        return found["verdict"]["kind"] == "one_tenant" and found

    try:
        found = within(ask, 2 * PATIENCE)
        assert found["verdict"]["tenants"] == ["tenant_acme"]
        assert found["tenants"][0]["tenant_id"] == "tenant_acme"
        assert found["tenants"][0]["top_endpoint"]["endpoint"].startswith("/orders/")
    finally:
        running.kill()
        running.communicate()
