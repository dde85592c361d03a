"""Values of a weight from a file of numpy's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.convert import converted, numpy_type
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, TensorName
from graftwerk.backend.graph.numpy_files import Stored, look, read, span
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.graph.types import DTYPE_NAMES
from graftwerk.backend.operations.registry import FilePath, Operation, Selection, operation, param
from graftwerk.backend.operations.weight_values import only_weight, weight_of, with_values


@operation("weights.replace", title="Replace from file", menu="Weights")
@dataclass(frozen=True)
class ReplaceWeight(Operation):
    """Take the values of a weight from a .npy file, or from a member of an .npz file.

    Shape and datatype must be the weight's, unless *Reshape* or *Cast* is on; values that are too large for the
    weight's datatype are refused all the same. Files with pickled objects are never loaded. A large .npy file is not
    read before the model is saved.
    """

    tensor: TensorName = param(label="Weight")
    file: FilePath = param(help="A .npy or .npz file")
    member: str = param("", help="Which array of an .npz file; not needed where it has only one")
    cast: bool = param(False, help="Convert another datatype to the weight's")
    reshape: bool = param(False, help="Take another shape with as many elements")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> ReplaceWeight | Reason:
        name = only_weight(graph, selection)
        return name if isinstance(name, Reason) else cls(name, FilePath(""))

    def blocked(self, graph: Graph) -> Reason | None:
        weight = weight_of(graph, self.tensor)
        stored = look(Path(self.file), self.member)
        return misfit(stored, weight.dtype, weight.dims, cast=self.cast, reshape=self.reshape)

    def apply(self, edit: Edit) -> None:
        weight = weight_of(edit, self.tensor)
        stored = look(Path(self.file), self.member)
        edit.set_initializer(taken(stored, weight))

    def summary(self) -> str:
        member = f", {self.member}" if self.member else ""
        return f"Replace {self.tensor} from {Path(self.file).name}{member}"


def misfit(
    stored: Stored, dtype: int, dims: tuple[int, ...], *, cast: bool | None, reshape: bool | None
) -> Reason | None:
    """Why what a file holds can't stand for a tensor of a datatype and shape; cheap. None: that can't be asked for."""
    shown, name = list(stored.shape), DTYPE_NAMES.get(dtype, str(dtype))
    if stored.shape != dims:
        fits = int(np.prod(stored.shape, dtype=object)) == int(np.prod(dims, dtype=object))
        if not (reshape and fits):
            hint = "" if fits else "The numbers of elements differ as well"
            if fits and reshape is not None:
                hint = "Turn on Reshape (--reshape): it has as many elements"
            return Reason(f"The file holds {shown}; {list(dims)} is needed", hint)
    if dtype == TensorProto.STRING:
        return None if stored.dtype.kind in "SU" else Reason(f"The file holds {stored.dtype}; texts are needed")
    if stored.dtype.names is not None or stored.dtype.kind in "SUcMm":
        return Reason(f"The file holds {stored.dtype}; numbers are needed")
    if not _same_type(stored, dtype) and (not cast or stored.dtype.kind == "V"):
        hint = "Turn on Cast (--cast) to convert the values" if cast is not None else ""
        return Reason(f"The file holds {stored.dtype}; {name} is needed", hint)
    return None


def _same_type(stored: Stored, dtype: int) -> bool:
    """Whether values need no conversion; numpy writes small floats that it has no name for as raw bytes."""
    wanted = numpy_type(dtype)
    raw = stored.dtype.kind == "V" and wanted.isbuiltin != 1 and stored.dtype.itemsize == wanted.itemsize
    return raw or stored.dtype.newbyteorder("=") == wanted


def taken(stored: Stored, weight: Initializer) -> Initializer:
    """A weight with the values of a file that fits it, see `misfit`. Raises Fault where they can't be read, or don't
    fit the datatype."""
    packed = weight.dtype in (TensorProto.INT4, TensorProto.UINT4, TensorProto.FLOAT4E2M1, 25, 26)
    mapped = span(stored) if _same_type(stored, weight.dtype) and not packed else None
    if mapped is not None:
        proto = TensorProto(name=weight.name, data_type=weight.dtype, dims=weight.dims)
        proto.doc_string = weight.proto.doc_string
        return Initializer(proto, mapped, weight.file)
    return with_values(weight, _fitting(read(stored), stored, weight).reshape(weight.dims))


def _fitting(values: NDArray[Any], stored: Stored, weight: Initializer) -> NDArray[Any]:
    if weight.dtype == TensorProto.STRING:
        return np.array([str(one, "utf-8") if isinstance(one, bytes) else str(one) for one in values.flat], object)
    wanted = numpy_type(weight.dtype)
    if _same_type(stored, weight.dtype):
        return np.ascontiguousarray(values).view(wanted) if values.dtype.kind == "V" else values.astype(wanted)
    made, loss = converted(values, weight.dtype)
    if loss.overflow:
        raise Fault(f"As {DTYPE_NAMES[weight.dtype]}, {loss}", weight.name, "Change the weight's datatype first")
    return made


