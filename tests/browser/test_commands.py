"""The commands of README.md and docs/ that ask the admin view, as they are pasted, against the service of `make demo`."""
import os
import re
import subprocess

from conftest import ROOT, target

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands():
    for document in DOCUMENTS:
        for block in document.read_text().split("```sh\n")[1:]:
            lines = block.partition("```")[0].replace("\\\n", " ").splitlines()
            yield from (line for line in lines if line.startswith("curl") and "/sentinel" in line)


def test_the_commands_work_as_they_are_pasted():
    program = target() / "debug/examples/axum_incident"
    process = subprocess.Popen([program, "--seconds", "60", "--token", "demo-token"], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        port = process.stdout.readline().split(":")[-1].strip()
        environment = os.environ | {"SENTINEL_ADMIN_TOKEN": "demo-token"}
        found = list(commands())
        assert len(found) >= 4
        for command in found:
            assert re.search(r"//127\.0\.0\.1:3000/", command)
            asked = command.replace(":3000/", f":{port}/") + " --silent --show-error --fail --max-time 10"
            answer = subprocess.run(["sh", "-c", asked], env=environment, capture_output=True, text=True)
            assert answer.returncode == 0, f"{command}: {answer.stderr}"
            assert answer.stdout
    finally:
        process.kill()
        process.wait()
