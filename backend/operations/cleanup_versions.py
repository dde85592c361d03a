"""Conversion to another opset, with onnx's version converter, and to another IR version."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

import onnx
from onnx import FunctionProto, ModelProto, TensorProto

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.whole import adopt_whole, whole_model
from graftwerk.backend.operations.registry import Operation, Selection, operation, param

#: Bytes of a weight that the converter may have to read: axes, sizes, scales.
_SMALL = 1024
#: What the converter says where an operator can't be taken over the border of a version.
_NO_WAY = re.compile(r"No Adapter From Version \$?(?P<since>\d+) for (?P<kind>\w+)")
#: Features of the format, and the IR version that brought them (onnx.proto, enum Version).
_METADATA_IR, _FUNCTION_IR, _SPARSE_IR, _LONE_WEIGHTS_IR = 10, 8, 5, 4
_DTYPE_IR: dict[int, int] = {
    TensorProto.FLOAT8E4M3FN: 9, TensorProto.FLOAT8E4M3FNUZ: 9, TensorProto.FLOAT8E5M2: 9,
    TensorProto.FLOAT8E5M2FNUZ: 9, TensorProto.UINT4: 10, TensorProto.INT4: 10, TensorProto.FLOAT4E2M1: 11,
}  # fmt: skip


#: What forms begin with: the first versions that have 4-bit integers.
_OPSET, _IR = 21, 10


@operation("cleanup.convert_opset", title="Convert opset", menu="Clean up", preserves=True)
@dataclass(frozen=True)
class ConvertOpset(Operation):
    """Convert the model to another version of the standard operator set, with onnx's version converter.

    Large weights are not read. Where a node has no form in that version, nothing is changed, and the node is named.
    """

    version: int = param(minimum=1, label="Opset")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Self:
        return cls(_OPSET)

    def blocked(self, graph: Graph) -> Reason | None:
        newest = onnx.defs.onnx_opset_version()
        if self.version > newest:
            return Reason(f"The installed onnx {onnx.__version__} knows opsets up to {newest}", "Choose an older one")
        if graph.opset() is None:
            return Reason("The model uses no operator of the standard set")
        if graph.opset() == self.version:
            return Reason(f"The model uses opset {self.version} already", settled=True)
        return _formless(graph, self.version)

    def apply(self, edit: Edit) -> None:
        whole = whole_model(edit, _SMALL)
        try:
            changed = onnx.version_converter.convert_version(whole.model, self.version)
        except (RuntimeError, onnx.shape_inference.InferenceError) as error:
            raise _refusal(edit.base, self.version, str(error)) from error
        adopt_whole(edit, whole, changed)
        kept = [entry for entry in edit.header.opset_import if entry.domain not in ("", "ai.onnx")]
        del edit.model.opset_import[:]
        edit.model.opset_import.add(domain="", version=self.version)
        edit.model.opset_import.extend(kept)
        edit.require_ir(_least_ir(edit.header))
        edit.functions = [_converted(function, self.version) for function in edit.functions]

    def summary(self) -> str:
        return f"Convert to opset {self.version}"


@operation("cleanup.convert_ir", title="Convert IR version", menu="Clean up", preserves=True)
@dataclass(frozen=True)
class ConvertIr(Operation):
    """Set the version of the file format. Before IR 4 every weight is an input of the graph too, and is made one.

    Refused where the model holds something that the format did not have then.
    """

    version: int = param(minimum=3, label="IR version")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Self:
        return cls(_IR)

    def blocked(self, graph: Graph) -> Reason | None:
        if self.version > onnx.IR_VERSION:
            hint = "Choose an older one"
            return Reason(f"The installed onnx {onnx.__version__} knows IR versions up to {onnx.IR_VERSION}", hint)
        if graph.model.ir_version == self.version:
            return Reason(f"The model has IR version {self.version} already", settled=True)
        for least, what in _needs(graph):
            if self.version < least:
                return Reason(f"{what} needs IR version {least}", f"Choose {least} or newer, or remove that first")
        return None

    def apply(self, edit: Edit) -> None:
        edit.model.ir_version = self.version
        if self.version < _LONE_WEIGHTS_IR:
            known = {info.name for info in edit.inputs}
            missing = [name for name in edit.initializers if name not in known]
            infos = [kind.value_info(name) for name in missing if (kind := edit.type_of(name)) is not None]
            edit.set_inputs([*edit.inputs, *infos])

    def summary(self) -> str:
        return f"Convert to IR version {self.version}"


def _needs(graph: Graph) -> list[tuple[int, str]]:
    found = [(_least_ir(graph.model), f"Opset {graph.opset()}")]
    if graph.functions:
        found.append((_FUNCTION_IR, "A local function"))
    if graph.skeleton.sparse_initializer:
        found.append((_SPARSE_IR, "A sparse weight"))
    if any(record.overload for record in graph.nodes.values()):
        found.append((_METADATA_IR, "The overload of a function"))
    for name, weight in graph.initializers.items():
        if weight.dtype in _DTYPE_IR:
            found.append((_DTYPE_IR[weight.dtype], f"The datatype of {name}"))
    return found


def _least_ir(model: ModelProto) -> int:
    """The IR version that an opset came with (onnx.helper.VERSION_TABLE)."""
    known = {("ai.onnx", entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx")}
    return max((onnx.helper.OP_SET_ID_VERSION_MAP.get(key, 3) for key in known), default=3)


def _formless(graph: Graph, version: int) -> Reason | None:
    """The first node whose operator does not exist in a version."""
    for kind in dict.fromkeys(r.op_type for r in graph.nodes.values() if r.domain in ("", "ai.onnx")):
        if onnx.defs.has(kind, version, ""):
            continue
        node = next(node for node, record in graph.nodes.items() if record.op_type == kind)
        history = [s for s in onnx.defs.get_all_schemas_with_history() if (s.name, s.domain) == (kind, "")]
        since = min((schema.since_version for schema in history), default=0)
        if not since:
            hint = "Replace the node, or give it the domain of its plugin (node.swap)"
            return Reason(f"{graph.ref(node)}: {kind} is no operator of the standard set", hint)
        why = f"it came with opset {since}" if since > version else "it was removed"
        return Reason(
            f"{graph.ref(node)}: {kind} has no form in opset {version}, {why}",
            "Choose another opset, or replace the node by older operators first",
        )
    return None


def _refusal(graph: Graph, version: int, text: str) -> Fault:
    words = text.rpartition("failed: ")[2].strip()
    missing = _NO_WAY.search(words)
    if missing:
        kind, since = missing["kind"], int(missing["since"])
        nodes = [graph.ref(node) for node, record in graph.nodes.items() if record.op_type == kind]
        way = "back " if since > version else ""
        message = f"{kind} changed with opset {since}, and onnx's converter knows no way {way}to opset {version}"
        hint = f"No opset before {since} can be reached, then" if since > version else ""
        return Fault(message, next(iter(nodes), ""), hint or "Choose another opset, or replace the node first")
    found = re.search(r"(?:for|of) (\w+)", words)
    kind = found[1] if found else ""
    node = next((graph.ref(n) for n, record in graph.nodes.items() if record.op_type == kind), "")
    hint = "Choose another opset, or replace the node first"
    return Fault(f"onnx's converter can't bring the model to opset {version}: {words}", node, hint)


def _converted(function: FunctionProto, version: int) -> FunctionProto:
    """A local function for another opset. Raises Fault where an operator in it has another form there."""
    old = next((entry.version for entry in function.opset_import if entry.domain in ("", "ai.onnx")), None)
    if old is None or old == version:
        return function
    for record in function.node:
        if record.domain not in ("", "ai.onnx"):
            continue
        forms = [onnx.defs.has(record.op_type, number, "") for number in (old, version)]
        same = all(forms) and (
            onnx.defs.get_schema(record.op_type, old, "").since_version
            == onnx.defs.get_schema(record.op_type, version, "").since_version
        )
        if not same:
            hint = "onnx's converter does not look into functions: inline it first"
            raise Fault(f"{record.op_type} in it has another form in opset {version}", function.name, hint)
    copy = FunctionProto()
    copy.CopyFrom(function)
    for entry in copy.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = version
    return copy
