"""Every example in the documentation runs: docstrings, those of the native classes too, and the README."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import tenant_sentinel
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


def snippets():
    text = (Path(__file__).parents[1] / "README.md").read_text()
    for block in text.split("```python\n")[1:]:
        yield block.partition("```")[0]


def test_the_readme(monkeypatch, tmp_path, capsys):
    tmp_path.chmod(0o700)
    monkeypatch.setenv("SENTINEL_ADMIN_TOKEN", "correct-horse-battery")
    monkeypatch.setenv("SENTINEL_DIR", str(tmp_path))
    found = list(snippets())
    assert found
    for code in found:
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    said = capsys.readouterr().out
    # What it says that it prints.
    for line in (line for code in found for line in code.splitlines() if line.startswith("print(") and "  # [" in line):
        assert line.partition("  # ")[2] in said
