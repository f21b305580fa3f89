"""Values that a host may give where others are asked for."""

import http

from hypothesis import strategies as st


class Hostile:
    """Raises wherever it is touched."""

    def _raise(self, *args):
        raise SystemExit("touched")

    def __repr__(self):
        raise RuntimeError("touched")

    __str__ = __float__ = __index__ = __int__ = __hash__ = __eq__ = __bool__ = __len__ = _raise


class Text(str):
    def encode(self, *args):
        raise RuntimeError("a subclass of str")

    __str__ = encode


NAMES = st.one_of(
    st.sampled_from(
        ["sinks", "verdict", "tenant_errors", "grouping", "checks", "allow", "type", "url", "name", "every", "at_least", "for"]
    ),
    st.text(max_size=6),
    st.integers(),
)
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**70), max_value=2**2_000),
    st.floats(),
    st.text(),
    st.text(st.characters(categories=["Cs", "Lu"])),
    st.binary(),
    st.binary().map(bytearray),
    st.binary().map(memoryview),
    st.uuids(),
    st.decimals(),
    st.datetimes(),
    st.lists(st.integers(), max_size=3),
    # Of the form of what says which alerts and checks there are, or nearly.
    st.recursive(
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.binary(max_size=3), st.builds(Hostile)
        ),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
        max_leaves=8,
    ),
    st.builds(Hostile),
    st.text().map(Text),
    st.sampled_from([http.HTTPStatus.OK, object, len, "x" * (1 << 20), b"x" * (1 << 20), 10**5_000, -(10**5_000)]),
)
