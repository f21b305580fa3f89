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
    st.builds(Hostile),
    st.text().map(Text),
    st.sampled_from([http.HTTPStatus.OK, object, len, "x" * (1 << 20), b"x" * (1 << 20), 10**5_000, -(10**5_000)]),
)
