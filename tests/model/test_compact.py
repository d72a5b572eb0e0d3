"""JSON text by the kept encoder: the same bytes as the standard library's."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepbook.model.compact import compact

NODES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(NODES)
def test_the_text_is_that_of_the_standard_library(node):
    text = json.dumps(node, ensure_ascii=False, separators=(",", ":"))
    assert compact(allow_nan=False)(node) == text
    assert compact(allow_nan=True)(node) == text


def test_nan_is_refused_where_it_is_not_allowed():
    with pytest.raises(ValueError, match="not JSON compliant"):
        compact(allow_nan=False)([float("nan")])
    assert compact(allow_nan=True)([float("inf")]) == "[Infinity]"


def test_what_is_not_json_is_refused():
    with pytest.raises(TypeError, match="set is not JSON serializable"):
        compact(allow_nan=False)({"a": {1}})
