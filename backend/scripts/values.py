"""Values as Python source: what fits a line is written there, the rest goes to an ONNX file beside the script."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto
from onnx.helper import get_attribute_value

from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.graph.types import TensorType

#: Elements of a weight that is still written in the script.
_MOST = 12
_WIDTH = 100
_NUMPY: dict[int, str] = {
    TensorProto.FLOAT: "np.float32", TensorProto.FLOAT16: "np.float16", TensorProto.DOUBLE: "np.float64",
    TensorProto.INT8: "np.int8", TensorProto.UINT8: "np.uint8", TensorProto.INT16: "np.int16",
    TensorProto.UINT16: "np.uint16", TensorProto.INT32: "np.int32", TensorProto.UINT32: "np.uint32",
    TensorProto.INT64: "np.int64", TensorProto.UINT64: "np.uint64", TensorProto.BOOL: "np.bool_",
}  # fmt: skip


class Values:
    """Writes values, and gathers those for the file beside a script that is called `stem`.py."""

    def __init__(self, stem: str) -> None:
        self.file = f"{stem}.data.onnx"
        self._data = ModelProto()
        self._used = False

    def model(self) -> ModelProto | None:
        """What the file beside the script holds; None where the script needs none."""
        return self._data if self._used else None

    def weight(self, weight: Initializer) -> str:
        """An expression for the values of a weight, exact to the bit."""
        text = _array(weight.complete()) if weight.wrong() is None else None
        return text if text is not None else f"weights[{self._kept(weight.complete())!r}]"

    def attribute(self, attribute: AttributeProto) -> str:
        """An expression for an attribute's value as graphsurgeon holds it."""
        if attribute.ref_attr_name:
            kind = {AttributeProto.FLOAT: "float", AttributeProto.INT: "int", AttributeProto.STRING: "str"}
            return f"gs.Node.AttributeRef({attribute.ref_attr_name!r}, {kind.get(attribute.type, 'list')})"
        if attribute.type == AttributeProto.GRAPH:
            return f"body({self._body(attribute.g)!r})"
        if attribute.type == AttributeProto.TENSOR:
            name = attribute.t.name
            values = _array(attribute.t) or f"weights[{self._kept(attribute.t)!r}]"
            return f"gs.Constant({name!r}, {values})"
        value = get_attribute_value(attribute)
        if isinstance(value, bytes):
            return repr(value.decode(errors="replace"))
        if attribute.type == AttributeProto.STRINGS:
            return repr([text.decode(errors="replace") for text in value])
        return repr(value if isinstance(value, int | float | str) else list(value))

    def attributes(self, record: NodeProto) -> str:
        entries = [f"{one.name!r}: {self.attribute(one)}" for one in record.attribute]
        return "{" + ", ".join(entries) + "}"

    def functions(self, functions: Iterable[FunctionProto]) -> None:
        self._used = True
        self._data.functions.extend(functions)

    def _kept(self, tensor: TensorProto) -> str:
        self._used = True
        name = f"{tensor.name or 'value'}_{len(self._data.graph.initializer)}"
        kept = self._data.graph.initializer.add()
        kept.CopyFrom(tensor)
        kept.name = name
        return name

    def _body(self, body: GraphProto) -> str:
        self._used = True
        name = f"{body.name or 'body'}_{len(self._data.graph.node)}"
        holder = self._data.graph.node.add(op_type="Body", name=name)
        holder.attribute.append(onnx.helper.make_attribute("body", body))
        return name


def text_of(kind: TensorType) -> str:
    """A tensor's datatype and shape as arguments."""
    dtype = _NUMPY.get(kind.dtype) or f"onnx.TensorProto.{TensorProto.DataType.Name(kind.dtype)}"
    return f"{dtype}, {list(kind.shape) if kind.shape is not None else None!r}"


def _array(tensor: TensorProto) -> str | None:
    """The array that a tensor holds as an expression; None where that is no short line, or would not be exact."""
    kind = _NUMPY.get(tensor.data_type)
    if kind is None or np.prod(tensor.dims, dtype=np.int64) > _MOST or tensor.external_data:
        return None
    values: np.ndarray[Any, Any] = np.asarray(onnx.numpy_helper.to_array(tensor))
    if values.size == 0 or (values.dtype.kind == "f" and not np.isfinite(values).all()):
        return None
    text = f"np.array({values.tolist()!r}, {kind})"
    return text if len(text) <= _WIDTH else None
