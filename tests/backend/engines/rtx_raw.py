"""A second reading of the builder's log, on purpose unlike the program's: by hand, with index and split only."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from graftwerk.backend.engines.source import SourceGraph, SourceNode

NAMES = {"Float": "FP32", "Half": "FP16", "BFloat16": "BF16", "Int8": "INT8", "FP8": "FP8", "Int4": "INT4"}
MATRIX_KINDS = ("correlation", "gemm", "runtime_fusion", "deconv")


@dataclass
class RawTensor:
    dtype: str
    dims: list[int]


@dataclass
class RawLayer:
    name: str
    kind: str
    inputs: list[RawTensor]
    constants: list[RawTensor]
    outputs: list[RawTensor]
    nodes: list[str]

    def factors(self) -> set[str]:
        """The datatypes that meet in the product: of the first input and the largest constant, or the second input."""
        large = [tensor for tensor in self.constants if prod(tensor.dims) > 1]
        largest = max(large, key=lambda tensor: prod(tensor.dims), default=None)
        if largest is None or (self.kind != "runtime_fusion" and prod(self.constants[0].dims) == 1):
            largest = self.inputs[1]
        return {self.inputs[0].dtype, largest.dtype}


def raw_layers(log: str) -> dict[str, RawLayer]:
    """The layers by name, of a log whose node names hold none of the words that structure it."""
    found = {}
    for line in log[log.index("Layers:\n") :].split("\n"):
        if line.startswith("Name: ") and ", LayerType: " in line:
            name, rest = line[len("Name: ") :].split(", LayerType: ")
            origins = rest.split("Metadata: ")[1].replace("[ONNX Layer: ", "").split("\x1f")
            read, fixed, made = (_tensors(rest, label) for label in ("Inputs", "Constants", "Outputs"))
            nodes = [origin[:-1] for origin in origins if origin]
            found[name] = RawLayer(name, rest.split(",")[0], read, fixed, made, nodes)
    return found


def _tensors(text: str, label: str) -> list[RawTensor]:
    if f"{label}: [ " not in text:
        return []
    part = text.split(f"{label}: [ ")[1].split(" }]")[0]
    items = [item for item in part.split("{ Name: ") if item]
    return [
        RawTensor(
            item.split("Datatype: ")[1].split(",")[0],
            [int(size) for size in item.split("Dimensions: [")[1].split("]")[0].split(",") if size],
        )
        for item in items
    ]


def source_from(log: str) -> SourceGraph:
    """The model as the parser told it: for a log without its model. Nodes have names, no two the same."""
    nodes: list[SourceNode] = []
    weights: set[str] = set()
    reads: list[str] = []
    for line in log.split("\n"):
        if line.startswith("Importing initializer: "):
            weights.add(line[len("Importing initializer: ") :])
        elif "] inputs: [" in line:
            reads = _tensor_names(line.split("] inputs: ")[1])
        elif "] outputs: [" in line:
            name, op_type = line.split("] outputs: ")[0].rsplit(" [", 1)
            made = _tensor_names(line.split("] outputs: ")[1])
            nodes.append(SourceNode(name, name, op_type, tuple(reads), tuple(made)))
    return SourceGraph(tuple(nodes), {name: name for name in weights}, nodes[-1].outputs)


def _tensor_names(text: str) -> list[str]:
    return [part.split(" -> ")[0].lstrip("[") for part in text.split("], ") if " -> " in part]
