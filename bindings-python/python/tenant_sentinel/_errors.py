"""Configuration errors of the adapters, of the same form as those of the core."""

from __future__ import annotations

from tenant_sentinel._native import ConfigError

# Characters of a value that an error shows.
MAX_SHOWN_LENGTH = 80


def config_error(field: str, value: object, allowed: str) -> ConfigError:
    """The error for a value that cannot be used: its field, the value, and the allowed ones."""
    try:
        text = repr(value)
    except Exception:
        text = "a value"
    text = text if len(text) <= MAX_SHOWN_LENGTH else f"{text[:MAX_SHOWN_LENGTH]}…"
    error = ConfigError(f"{field}: {text} is not allowed; allowed: {allowed}")
    error.field, error.value, error.allowed = field, text, allowed
    return error
