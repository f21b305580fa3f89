"""Every example in the documentation runs: docstrings, those of the native classes too, the README, and docs/."""

import contextlib
import doctest
import importlib
import pkgutil
import re
import shlex
from pathlib import Path

import pytest

import tenant_sentinel
from service import TOKEN, Service, within
from tenant_sentinel import Admin, Guard, Sentinel

MODULES = [module.name for module in pkgutil.iter_modules(tenant_sentinel.__path__) if module.name != "_native"]


@pytest.mark.parametrize("name", ["", *MODULES])
def test_the_modules(name, monkeypatch):
    if name == "django":
        from django.conf import settings

        if not settings.configured:
            settings.configure()
    module = importlib.import_module(f"tenant_sentinel.{name}".rstrip("."))
    if name == "django":
        monkeypatch.setenv("SENTINEL_ADMIN_TOKEN", "correct-horse-battery")
        monkeypatch.setattr(module, "_sentinel", None)
    assert doctest.testmod(module).failed == 0
    # What a service adds to itself.
    for entry in ("SentinelMiddleware", "init_app", "admin"):
        assert ">>>" in (getattr(module, entry).__doc__ if hasattr(module, entry) else ">>>"), entry


def native():
    for class_ in (Sentinel, Guard, Admin):
        yield class_.__name__, class_.__doc__
        for name in vars(class_):
            if not name.startswith("_"):
                yield f"{class_.__name__}.{name}", getattr(class_, name).__doc__


@pytest.mark.parametrize(("name", "text"), list(native()), ids=[name for name, _ in native()])
def test_the_native_classes(name, text):
    assert text, name
    test = doctest.DocTestParser().get_doctest(text, {}, name, None, 0)
    assert test.examples or name.endswith("adapter_failed")
    assert doctest.DocTestRunner().run(test).failed == 0


ROOT = Path(__file__).parents[2]


def snippets(path, language="python"):
    for block in path.read_text().split(f"```{language}\n")[1:]:
        yield block.partition("```")[0]


def test_the_readme(monkeypatch, tmp_path, capsys):
    tmp_path.chmod(0o700)
    monkeypatch.setenv("SENTINEL_ADMIN_TOKEN", "correct-horse-battery")
    monkeypatch.setenv("SENTINEL_DIR", str(tmp_path))
    found = list(snippets(ROOT / "bindings-python/README.md"))
    assert found
    for code in found:
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    said = capsys.readouterr().out
    # What it says that it prints.
    for line in (line for code in found for line in code.splitlines() if line.startswith("print(") and "  # [" in line):
        assert line.partition("  # ")[2] in said


def test_the_service_of_the_first_page(tmp_path):
    """As it is pasted, and asked as its page says."""
    (code,) = snippets(ROOT / "README.md")
    (tmp_path / "main.py").write_text(code)
    environment = {"SENTINEL_ADMIN_TOKEN": TOKEN}
    service = Service(["uvicorn", "main:app", "--port", "PORT", "--log-level", "critical"], environment, tmp_path)
    try:
        (commands,) = [block for block in snippets(ROOT / "README.md", "sh") if "curl" in block]
        answers = []
        for _, option, header, url in [shlex.split(line) for line in commands.splitlines() if line.startswith("curl")]:
            base, path = re.match(r"(http://127.0.0.1:3000)(/.*)", url).groups()
            name, _, value = header.partition(": ")
            assert (option, base) == ("-H", "http://127.0.0.1:3000")
            answers.append(service.ask(path, [(name, value.replace("$SENTINEL_ADMIN_TOKEN", TOKEN))])[0])
        assert answers == [200, 200]
        assert service.counts("acme") == ("/orders/{order}", 1, 0)
    finally:
        service.close()


PAGES = [path for path in sorted((ROOT / "docs").glob("*.md")) if "```python" in path.read_text()]


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_the_documents(page, monkeypatch, tmp_path, capsys):
    tmp_path.chmod(0o700)
    monkeypatch.setenv("SENTINEL_DIR", str(tmp_path))
    for code in snippets(page):
        # What it says that it prints.
        says = [line.partition("  # ")[2] for line in code.splitlines() if line.startswith("print(")]

        def prints():
            names = {"__name__": "page"}
            # An exporter that is kept from answering for 250 ms is an error, or a process that answers for itself.
            with contextlib.suppress(RuntimeError):
                exec(compile(code, page.name, "exec"), names)  # noqa: B023
            for sentinel in [value for value in names.values() if isinstance(value, Sentinel)]:
                sentinel.close()
            return capsys.readouterr().out.splitlines() == says  # noqa: B023

        assert says
        within(prints)


def test_there_are_documents():
    assert [page.name for page in PAGES] == ["alerts.md", "services.md", "uptime.md", "workers.md"]
