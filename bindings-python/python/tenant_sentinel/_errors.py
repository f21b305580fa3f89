"""Errors of the adapters, the same as those of the core."""

from __future__ import annotations

from tenant_sentinel._native import ConfigError

# Characters of a value that an error says.
MOST = 80


def config_error(field: str, value: object, allowed: str) -> ConfigError:
    """What cannot be used: the field, what was given, what would do."""
    try:
        text = repr(value)
    except Exception:
        text = "a value"
    text = text if len(text) <= MOST else f"{text[:MOST]}…"
    error = ConfigError(f"{field}: {text} is not allowed; allowed: {allowed}")
    error.field, error.value, error.allowed = field, text, allowed
    return error
