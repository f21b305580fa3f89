"""Errors of the adapters, the same as those of the core."""

from __future__ import annotations

from tenant_sentinel._native import ConfigError


def config_error(field: str, value: object, allowed: str) -> ConfigError:
    """What cannot be used: the field, what was given, what would do."""
    error = ConfigError(f"{field}: {value!r} is not allowed; allowed: {allowed}")
    error.field, error.value, error.allowed = field, repr(value), allowed
    return error
