"""A model in a form that is text, whole or not at all: onnx's printers leave out what they have no words for."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import Message
from onnx import ModelProto, TensorProto

from graftwerk.backend.fault import Fault

_HINT = "Save as .onnx, .json or .textproto"
#: Fields of a tensor that hold its values: they are compared as values, for the text stores them in another of these.
_VALUES = frozenset({
    "raw_data", "float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data",
})  # fmt: skip


def as_text(model: ModelProto, form: str) -> bytes:
    """The model in onnx's form of that name: onnxtxt, textproto or json. Raises Fault that names what the form can't
    hold."""
    known = ModelProto()
    known.CopyFrom(model)
    known.DiscardUnknownFields()
    if known.ByteSize() != model.ByteSize():
        unknown = "fields that the installed onnx doesn't know"
        raise Fault(f"This form can't hold all of this model: {unknown} would be lost", "", "Save as .onnx")
    if form == "onnxtxt":
        return _onnx_text(model)
    buffer = BytesIO()
    try:
        onnx.save(model, buffer, format=form)
        again = onnx.load(BytesIO(buffer.getvalue()), format=form, load_external_data=False)
    except Exception as error:  # the printers and parsers behind onnx share no base class
        raise Fault(f"This form can't hold this model: {_reason(error)}", "", "Save as .onnx") from error
    if again.SerializeToString(deterministic=True) != model.SerializeToString(deterministic=True):
        lost = next(_differences(model, again, "the model"), "a part of it")
        raise Fault(f"This form can't hold all of this model: {lost} would be lost", "", "Save as .onnx")
    return buffer.getvalue()


def _onnx_text(model: ModelProto) -> bytes:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The onnxtxt format is experimental", category=UserWarning)
            buffer = BytesIO()
            onnx.save(model, buffer, format="onnxtxt")
            text = buffer.getvalue()
            again = onnx.load(BytesIO(text), format="onnxtxt", load_external_data=False)
    except Exception as error:  # the printer and the parser raise C++ errors, UnicodeDecodeError and others
        raise Fault(f"ONNX's text form can't hold this model: {_reason(error)}", "", _HINT) from error
    lost = next(_differences(model, again, "the model"), None)
    if lost is not None:
        raise Fault(f"ONNX's text form can't hold all of this model: {lost} would be lost", "", _HINT)
    return text


def _reason(error: Exception) -> str:
    """The line of a message that says what is wrong: a parser's gives the place, then the text, then what it misses."""
    first = error.args[0] if error.args else ""
    text = first.decode("utf-8", "replace") if isinstance(first, bytes) else str(error)
    lines = [line.removeprefix("Error context:").strip() for line in text.splitlines()]
    told = [line for line in lines if line and not line.startswith("[ParseError")]
    return ": ".join(told[-2:])[:300] or type(error).__name__


def _differences(one: Message, other: Message, where: str) -> Iterator[str]:
    """The fields in which two messages differ, in words; one that is empty is as good as one that is not there."""
    if isinstance(one, TensorProto) and isinstance(other, TensorProto) and not _same_values(one, other):
        yield f"values of {where}"
    for field in one.DESCRIPTOR.fields:
        if isinstance(one, TensorProto) and field.name in _VALUES:
            continue
        before, after = getattr(one, field.name), getattr(other, field.name)
        name = f"{field.name} of {where}"
        if field.message_type is None:
            if before != after and not _same_numbers(before, after):
                yield name
        elif field.is_repeated:
            if len(before) != len(after):
                yield name
            for number, (old, new) in enumerate(zip(before, after, strict=False)):
                yield from _differences(old, new, _place(old, field.name, number, where))
        elif one.HasField(field.name) != other.HasField(field.name):
            yield name
        elif one.HasField(field.name):
            yield from _differences(before, after, _place(before, field.name, 0, where))


def _place(message: Any, field: str, number: int, where: str) -> str:
    kind = field.replace("_", " ")
    return f"{kind} {getattr(message, 'name', '') or number}" if kind not in ("type", "graph") else f"{kind} of {where}"


def _same_numbers(before: Any, after: Any) -> bool:
    """Whether two values are the same bits: a NaN is not equal to itself."""
    if isinstance(before, str | bytes) or isinstance(after, str | bytes):
        return False
    return np.array_equal(np.asarray(before), np.asarray(after), equal_nan=True)


def _same_values(one: TensorProto, other: TensorProto) -> bool:
    if one.data_location == TensorProto.EXTERNAL or one.data_type != other.data_type or one.dims != other.dims:
        return True  # told by the fields themselves
    try:
        before, after = onnx.numpy_helper.to_array(one), onnx.numpy_helper.to_array(other)
    except (ValueError, TypeError):
        return False
    return before.tobytes() == after.tobytes() if before.dtype != object else bool(np.array_equal(before, after))
