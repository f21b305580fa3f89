"""The admin view, as every adapter serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenant_sentinel._native import Admin

Answer = tuple[int, list[tuple[str, str]], bytes]


def whole(view: Admin, method: str, path: str, query: str, authorization: bytes | None) -> Answer:
    """Its status, its headers and its body, which to HEAD is the one that GET would have; frameworks take it off."""
    return view.respond("GET" if method == "HEAD" else method, path, query, authorization)


def answered(view: Admin, method: str, path: str, query: str, authorization: bytes | None) -> Answer:
    """The same with the length among the headers, and nothing but these to HEAD."""
    status, headers, body = whole(view, method, path, query, authorization)
    return status, [*headers, ("content-length", str(len(body)))], b"" if method == "HEAD" else body
