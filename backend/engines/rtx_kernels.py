"""What a layer of a TensorRT-RTX engine is: whether it contracts, computes or only moves, and at which precision.

Learned from the logs of 1.7.

*Kernels.* `correlation`, `gemm`, `deconv`, `maxpool` … are library kernels; `runtime_fusion` is a convolution or a
product with what follows it, compiled on the target; `kgen` is generated code, whose name lists what it does, four
letters each, cut with "Etc" where it grows long: `__myl_MulAddReluMulMinMaxRounCast_myl0_3`; `_gemm_mha_v2_…` is an
attention. Some kinds only control (`signal`, `wait`, `jmp`).

*Precision of a layer*: where it contracts, the datatype of its data and of its weight, the wider of the two where they
differ (an INT4 weight is unpacked to compute in FP16). Of another library kernel (a pooling) the widest datatype of its
data. Of generated code the widest float among its inputs, its weights (scalars are literals of the code) and its
outputs, in this order; else the widest integer it reads. A layer that only moves data or controls has none.

Runs on Python 3.9 with nothing but the standard library.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from math import prod
from typing import Optional

from graftwerk.backend.engines.report import Layer, LayerTensor

#: Operators that contract: their arithmetic is a sum of products, done by a matrix or convolution kernel.
CONTRACTIONS = frozenset({
    "Conv", "ConvTranspose", "ConvInteger", "DeformConv", "QLinearConv", "MatMul", "MatMulInteger", "QLinearMatMul",
    "Gemm", "Einsum", "Attention", "LSTM", "GRU", "RNN",
})
_CONTRACTING_KINDS = frozenset({"correlation", "gemm", "deconv", "runtime_fusion"})
_GENERATED_KINDS = frozenset({"kgen", "runtime_function"})
_CONTROL_KINDS = frozenset(
    {"shape_call", "ShapeHostToDevice", "ShapeDeviceToHost", "memset", "copy", "jmp", "cjmp", "signal", "wait"}
)
_MOVES = frozenset({"Move", "Repl", "Conc", "Tran", "Resh", "Slic", "Cast", "Gath", "Iota"})
_MNEMONICS = {
    "QuantizeLinear": "Roun", "Softmax": "Exp", "LogSoftmax": "Exp", "LayerNormalization": "Mean", "Where": "Sele",
    "GlobalAveragePool": "Mean", "ReduceMean": "Mean", "ReduceSum": "Sum", "Greater": "Gtr", "Less": "Lt",
    "Equal": "Eql", "ReduceMax": "Maxr", "InstanceNormalization": "Inor",
}  # fmt: skip
_FLOATS = ("FP32", "FP16", "BF16", "FP8", "FP4")  # the widest first
_INTEGERS = ("INT64", "INT32", "UINT8", "INT8", "INT4", "BOOL")


def mnemonics(layer: Layer) -> list[str]:
    """What generated code does, from its name: `__myl_FcAdd_myl0_58` gives Fc, Add."""
    found = re.fullmatch(r"__myl_(\w+?)_myl\d+_\d+", layer.name)
    return re.findall(r"[A-Z][a-z0-9]*", found[1]) if found else []


def contracts(layer: Layer) -> bool:
    """Whether its arithmetic is a matrix product or a convolution by a kernel made for it."""
    return layer.kind in _CONTRACTING_KINDS or layer.name.startswith("_gemm_")


def computes(layer: Layer) -> bool:
    """Whether it does arithmetic, and not only moves data or controls."""
    if layer.kind in _CONTROL_KINDS:
        return False
    listed = mnemonics(layer)
    return not listed or not _MOVES.issuperset(listed)


def precision(layer: Layer) -> str:
    """The datatype that a layer's arithmetic reads; the rule stands at the top of this file."""
    if not computes(layer):
        return ""
    if contracts(layer):
        read = [tensor.dtype for tensor in (*layer.inputs[:1], _weight(layer)) if tensor is not None]
        return _widest(read, _FLOATS) or _widest(read, _INTEGERS)
    data, made = ([tensor.dtype for tensor in tensors] for tensors in (layer.inputs, layer.outputs))
    if layer.kind not in _GENERATED_KINDS:  # a pooling's constants are its scales
        return _widest(data, _FLOATS) or _widest(data, _INTEGERS)
    weights = [tensor.dtype for tensor in layer.constants if prod(tensor.shape) != 1]
    for dtypes in (data, weights, made):
        if _widest(dtypes, _FLOATS):
            return _widest(dtypes, _FLOATS)
    return _widest([*data, *weights], _INTEGERS)


def _weight(layer: Layer) -> Optional[LayerTensor]:
    """The second factor of a layer that contracts: a constant, or its second input.

    Library kernels list it first among the constants, before scales and bias. Runtime fusions list it anywhere, but a
    bias and a scale have one dimension that counts.
    """
    if layer.kind == "runtime_fusion":
        found = [tensor for tensor in layer.constants if sum(size != 1 for size in tensor.shape) > 1]
    else:
        found = [tensor for tensor in layer.constants[:1] if prod(tensor.shape) != 1]
    return next(iter((*found, *layer.inputs[1:2])), None)


def _widest(dtypes: Collection[str], order: Sequence[str]) -> str:
    return next((dtype for dtype in order if dtype in dtypes), "")


def claim(layer: Layer, op_type: str) -> tuple[bool, bool, bool, bool, bool]:
    """How good a claim a layer has to do the arithmetic of a node that it names; the greatest wins."""
    listed = mnemonics(layer)
    return (
        op_type in CONTRACTIONS and contracts(layer),
        _MNEMONICS.get(op_type, op_type[:4].capitalize()) in listed,
        layer.kind not in _GENERATED_KINDS | _CONTROL_KINDS,
        computes(layer),
        layer.kind not in _CONTROL_KINDS,
    )
