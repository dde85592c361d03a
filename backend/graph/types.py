"""What is known of a tensor: its datatype and its shape."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import TensorProto, TypeProto, ValueInfoProto

Dim = int | str | None

#: Short names of datatypes, as TensorRT writes them and as the canvas shows them.
DTYPE_NAMES: dict[int, str] = {
    TensorProto.FLOAT: "FP32", TensorProto.FLOAT16: "FP16", TensorProto.BFLOAT16: "BF16", TensorProto.DOUBLE: "FP64",
    TensorProto.INT8: "INT8", TensorProto.UINT8: "UINT8", TensorProto.INT16: "INT16", TensorProto.UINT16: "UINT16",
    TensorProto.INT32: "INT32", TensorProto.UINT32: "UINT32", TensorProto.INT64: "INT64", TensorProto.UINT64: "UINT64",
    TensorProto.BOOL: "BOOL", TensorProto.STRING: "STRING", TensorProto.FLOAT8E4M3FN: "FP8",
    TensorProto.FLOAT8E4M3FNUZ: "FP8E4M3FNUZ", TensorProto.FLOAT8E5M2: "FP8E5M2",
    TensorProto.FLOAT8E5M2FNUZ: "FP8E5M2FNUZ",
    TensorProto.INT4: "INT4", TensorProto.UINT4: "UINT4", TensorProto.FLOAT4E2M1: "FP4",
    TensorProto.COMPLEX64: "COMPLEX64", TensorProto.COMPLEX128: "COMPLEX128",
    24: "E8M0", 25: "UINT2", 26: "INT2",  # which older releases of onnx have no names for
}


@dataclass(frozen=True, slots=True)
class TensorType:
    """Datatype (TensorProto.DataType, 0 unknown) and shape; a dimension is a size, a symbol, or None where unknown.

    `shape` is None where even the rank is unknown. `kind` is "tensor", or "sequence", "optional", "map", "sparse".
    """

    dtype: int = 0
    shape: tuple[Dim, ...] | None = None
    kind: str = "tensor"

    @classmethod
    def of(cls, proto: TypeProto) -> TensorType:
        which = proto.WhichOneof("value")
        if which not in ("tensor_type", "sparse_tensor_type"):
            return cls(kind=which.removesuffix("_type") if which else "tensor")
        tensor = getattr(proto, which)
        kind = "tensor" if which == "tensor_type" else "sparse"
        if not tensor.HasField("shape"):
            return cls(tensor.elem_type, None, kind)
        dims = (dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in tensor.shape.dim)
        return cls(tensor.elem_type, tuple(dims), kind)

    def value_info(self, name: str) -> ValueInfoProto:
        info = ValueInfoProto(name=name)
        tensor = info.type.tensor_type
        tensor.elem_type = self.dtype
        if self.shape is not None:
            tensor.shape.SetInParent()
            for size in self.shape:
                dim = tensor.shape.dim.add()
                if isinstance(size, int):
                    dim.dim_value = size
                elif size is not None:
                    dim.dim_param = size
        return info

    def __str__(self) -> str:
        """As the canvas shows it: `8×512×28×28 FP16`."""
        name = DTYPE_NAMES.get(self.dtype, "") if self.kind == "tensor" else self.kind
        if self.shape is None:
            return name
        dims = "×".join("?" if size is None else str(size) for size in self.shape) or "scalar"
        return f"{dims} {name}".strip()
