"""Optimization profiles: what is guessed, what is read, what is refused."""

from __future__ import annotations

import pytest

from graftwerk.backend.engines.shapes import check_range, default_shapes, format_shapes, parse_shapes
from graftwerk.backend.fault import Fault


@pytest.mark.parametrize(
    ("dims", "expected"),
    [
        (("N", 3, "H", "W"), "x:1x3x64x64,1x3x256x256,8x3x512x512"),
        ((None, 3, None, None), "x:1x3x64x64,1x3x256x256,8x3x512x512"),
        (("batch", "seq"), "x:1x1,1x128,8x256"),
        (("sequence_length", "batch_size", 64), "x:1x1x64,128x1x64,256x8x64"),
        (("batch", 12, "past_sequence_length", 64), "x:1x12x1x64,1x12x128x64,8x12x256x64"),
        (("batch", "past_len + seq_len"), "x:1x2,1x256,8x512"),
        (("batch", "seq+1"), "x:1x2,1x129,8x257"),
        ((16, "n"), "x:16x1,16x1,16x8"),
    ],
)
def test_a_guess_goes_by_what_a_dimension_is(dims: tuple[int | str | None, ...], expected: str) -> None:
    (name, shapes), = default_shapes({"x": dims, "fixed": (1, 2), "scalar": ()}).items()
    assert format_shapes(name, shapes) == expected
    assert parse_shapes(expected) == (name, shapes)
    check_range(name, shapes, [size if isinstance(size, int) else -1 for size in dims])


def test_text_forms() -> None:
    assert parse_shapes("serving:0:1x8") == ("serving:0", ((1, 8),) * 3)
    assert parse_shapes("s:,,") == ("s", ((), (), ()))


@pytest.mark.parametrize("text", ["x", "x:1x2,3x4", "x:1xn", ":1x2", "x:1x-2", "x:1,2,3,4"])
def test_other_texts_are_refused_with_the_form(text: str) -> None:
    with pytest.raises(Fault, match="can't read") as caught:
        parse_shapes(text)
    assert "MIN,OPT,MAX" in caught.value.hint


@pytest.mark.parametrize(
    ("shapes", "reason"),
    [
        (((1, 16), (4, 16), (2, 16)), "dimension 0 is not MIN"),
        (((1, 17), (4, 17), (8, 17)), "dimension 1 is 16"),
        (((1, 16), (4, 16), (8, 32)), "dimension 1 is 16"),
        (((1,), (4,), (8,)), "number of dimensions"),
        (((0, 16), (0, 16), (8, 16)), "dimension 0 has OPT 0"),
        (((1, 16), (4, 16), (2**31, 16)), "dimension 0 is too large"),
    ],
)
def test_a_range_must_fit_the_input(shapes: tuple[tuple[int, ...], ...], reason: str) -> None:
    with pytest.raises(Fault, match=reason) as caught:
        check_range("x", shapes, (-1, 16))
    assert caught.value.where == "x"
    assert caught.value.hint


def test_sizes_have_a_bound() -> None:
    with pytest.raises(Fault, match="too large"):
        parse_shapes(f"x:1,4,{2**31}")
    assert parse_shapes(f"x:0,1,{2**31 - 1}")[1] == ((0,), (1,), (2**31 - 1,))
    assert check_range("x", ((0,), (1,), (8,)), (-1,))[0] == (0,)
