"""Everything that is wrong with a revision, found in a worker after each edit: what onnx's checker says, what our own
checks say, and operations that put it right."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import onnx
from onnx import ModelProto, NodeProto, TensorProto

import graftwerk.backend.operations.all  # noqa: F401 - a worker registers them by importing this file
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.check import UNORDERED, check
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph, NodeId, Problem
from graftwerk.backend.graph.schema import no_operator, schema_of
from graftwerk.backend.graph.shapes import infer_model, refusals
from graftwerk.backend.graph.types import DTYPE_NAMES, TensorType
from graftwerk.backend.jobs.context import JobContext
from graftwerk.backend.jobs.protocol import job
from graftwerk.backend.operations.registry import Operation, make, parameters, why_blocked
from graftwerk.backend.operations.repair import ImportOpset, UniqueNames, missing_imports
from graftwerk.backend.operations.unused import RemoveUnused
from graftwerk.backend.quantize.audit import audit

#: Nodes of one kind of problem that are listed; the last line counts the rest.
MOST = 200


@dataclass(frozen=True)
class Finding:
    """A problem, and the operation that puts it right: its id and parameters, {} where there is none."""

    message: str
    where: str = ""
    hint: str = ""
    severity: str = "error"
    fix: dict[str, Any] = field(default_factory=dict)

    def problem(self) -> Problem:
        fix = make(self.fix["operation"], self.fix["parameters"]) if self.fix else None
        return Problem(self.message, self.where, self.hint, self.severity, fix)


@job("model.validate")
@dataclass(frozen=True)
class Validate:
    """Check a model in a file that `prepare` wrote. Gives `{"findings": [Finding as JSON, …]}`, those `known` first."""

    model: str
    known: list[dict[str, Any]] = field(default_factory=list)

    def run(self, context: JobContext) -> dict[str, Any]:
        context.phase("Checking the model")
        errors = [one for one in self.known if one["severity"] == "error"]
        found = msgspec.to_builtins(_of_nodes(load(Path(self.model)), whole=not errors))
        told = {(one["where"], one["message"]) for one in found}
        known = [one for one in self.known if (one["where"], one["message"]) not in told]
        return {"findings": [*known, *found]}


def prepare(graph: Graph, folder: Path) -> Validate:
    """Checks what is quickly checked, and writes the revision, without its large weights, for the job that does the
    rest. May run in a thread."""
    here = [_own(graph, problem) for problem in (*check(replace(graph, problems=())), *_of_file(graph))]
    here += [*_imports(graph), *_unused(graph), *_quantized(graph)]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "light.onnx"
    path.write_bytes(_light(graph).SerializeToString())
    return Validate(str(path), msgspec.to_builtins(here))


def _of_file(graph: Graph) -> Iterator[Problem]:
    """What was found in the file when it was opened, and no check of the graph finds again."""
    for problem in graph.problems:
        weight = graph.initializers.get(problem.where)
        if "declared twice" in problem.message or (weight is not None and weight.missing):
            yield problem


def _light(graph: Graph) -> ModelProto:
    """The model with every large weight as an input of its type: neither the checker nor types need the values."""
    model = to_model(graph, weights="none")
    inputs = {info.name for info in model.graph.input}
    kept = []
    for weight in model.graph.initializer:
        if weight.data_location != TensorProto.EXTERNAL:
            kept.append(weight)
        elif weight.name not in inputs:
            model.graph.input.append(TensorType(weight.data_type, tuple(weight.dims)).value_info(weight.name))
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return model


def new_errors(before: Graph, after: Graph) -> list[Finding]:
    """What is wrong with a revision, and was not with one before it. A second at 50,000 nodes."""
    found = [finding for finding in _of_nodes(after, whole=False) if finding.severity == "error"]
    known = _of_nodes(before, whole=False) if found else []
    return [finding for finding in found if finding not in known]


def problems(result: Mapping[str, Any]) -> tuple[Problem, ...]:
    """What the job has found, with the operations made."""
    return tuple(msgspec.convert(one, Finding).problem() for one in result["findings"])


def _of_nodes(graph: Graph, whole: bool) -> list[Finding]:
    """What onnx says of the nodes, and where they are right, of the model as a whole."""
    wrong = dict(_nodes(graph))
    found = list(wrong.values())[:MOST]
    if len(wrong) > MOST:
        found.append(Finding(f"{len(wrong) - MOST} more nodes are not valid"))
    found += [finding for ref, finding in _types(graph).items() if ref not in wrong][:MOST]
    told = {finding.where for finding in found}
    refused = {ref: said for ref, said in refusals(graph).items() if ref not in told}
    found += [Finding(said, ref, _NODE_HINT) for ref, said in refused.items()][:MOST]
    if whole and not found:
        found += _whole(graph)
    return found


def _own(graph: Graph, problem: Problem) -> Finding:
    """A problem of our own check, with its repair where there is one."""
    shared = len(graph.names.get(problem.where, ())) > 1 and "have this name" in problem.message
    fix = _fix(graph, UniqueNames()) if shared else {}
    if problem.message == UNORDERED:
        fix = _fix(graph, make("cleanup.sort", {}))
    return Finding(problem.message, problem.where, problem.hint, problem.severity, fix)


def _nodes(graph: Graph) -> Iterator[tuple[str, Finding]]:
    """What onnx's checker says of every node by itself, by the node's reference."""
    context = onnx.checker.C.CheckerContext()
    context.ir_version = graph.model.ir_version
    context.opset_imports = {entry.domain: entry.version for entry in graph.model.opset_import}
    local = {(function.domain, function.name) for function in graph.functions}
    for node, record in graph.nodes.items():
        if node in graph.holders or (record.domain, record.op_type) in local:
            continue  # what bodies read, only the whole model tells
        if record.domain not in context.opset_imports and record.domain not in ("", "ai.onnx"):
            continue  # told once for the domain
        try:
            onnx.checker.check_node(record, context)
        except onnx.checker.ValidationError as error:
            ref = graph.ref(node)
            if _UNKNOWN.match(str(error)):
                missing = no_operator(graph, record.op_type)
                yield ref, Finding(missing.text, ref, missing.hint)
            else:
                yield ref, Finding(_first(error), ref, _NODE_HINT)


#: How the checker says that an operator is not in the imported version.
_UNKNOWN = re.compile(r"No Op registered for ")
#: And how it counts inputs or outputs.
_COUNT = re.compile(r"schema\(.*?::(\w+):(\d+)\) has (input|output) size (\d+) not in range \[min=(\d+), max=(\d+)\]")
_NODE_HINT = "Select the node: its attributes and inputs can be changed in the inspector"


def _first(error: Exception) -> str:
    """The first line of onnx's message, without what follows for its developers."""
    text = str(error).strip().splitlines()[0]
    count = _COUNT.search(text)
    if count is not None:
        op_type, version, port, there, least, most = count.groups()
        needed = least if least == most else f"at least {least}" if int(there) < int(least) else f"at most {most}"
        return f"{op_type} of opset {version} has {there} {port}{'s' * (there != '1')}; it takes {needed}"
    return re.sub(r"\s*==> Context:.*", "", text).removesuffix(".")


def _types(graph: Graph) -> dict[str, Finding]:
    """Inputs whose datatypes an operator doesn't take, or doesn't take together."""
    try:
        types = infer_model(to_model(graph, weights="none"), symbolic=False)
    except Fault:
        return {}  # told by whoever shows the types
    typed = graph.with_types(types)
    found: dict[str, Finding] = {}
    for node, record in graph.nodes.items():
        finding = _node_types(typed, node, record)
        if finding is not None:
            found[finding.where] = finding
    return found


def _node_types(graph: Graph, node: NodeId, record: NodeProto) -> Finding | None:
    schema = schema_of(graph, record.op_type, record.domain)
    if schema is None or graph.function(record) is not None:
        return None
    chosen: dict[str, tuple[str, int]] = {}
    for slot, tensor in enumerate(record.input):
        rule = schema.inputs[min(slot, len(schema.inputs) - 1)] if schema.inputs else None
        kind = graph.type_of(tensor) if tensor else None
        if rule is None or kind is None or not kind.dtype or kind.kind != "tensor":
            continue
        name, ref = DTYPE_NAMES.get(kind.dtype, str(kind.dtype)), graph.ref(node)
        if rule.types and f"tensor({_ONNX.get(kind.dtype, '')})" not in rule.types and _ONNX.get(kind.dtype):
            hint = "Cast the input, or convert the model to a newer opset"
            return Finding(f"{record.op_type} of opset {schema.since_version} does not take {name}", ref, hint)
        several = slot >= len(schema.inputs) - 1 and not rule.is_homogeneous
        if several or rule.type_str not in _variables(schema):
            continue
        first = chosen.setdefault(rule.type_str, (tensor, kind.dtype))
        if first[1] != kind.dtype:
            other = DTYPE_NAMES.get(first[1], str(first[1]))
            fix = _cast(graph, node, tensor, first[1])
            message = f"{record.op_type} reads {other} ({first[0]}) and {name} ({tensor}), which have to be the same"
            return Finding(message, ref, "Insert a Cast in front of one of them", "error", fix)
    return None


def _variables(schema: onnx.defs.OpSchema) -> set[str]:
    return {constraint.type_param_str for constraint in schema.type_constraints}


#: Datatypes as onnx's schemas write them.
_ONNX: dict[int, str] = {
    TensorProto.FLOAT: "float", TensorProto.FLOAT16: "float16", TensorProto.BFLOAT16: "bfloat16",
    TensorProto.DOUBLE: "double", TensorProto.INT8: "int8", TensorProto.UINT8: "uint8", TensorProto.INT16: "int16",
    TensorProto.UINT16: "uint16", TensorProto.INT32: "int32", TensorProto.UINT32: "uint32",
    TensorProto.INT64: "int64", TensorProto.UINT64: "uint64", TensorProto.BOOL: "bool", TensorProto.STRING: "string",
}  # fmt: skip


def _cast(graph: Graph, node: NodeId, tensor: str, dtype: int) -> dict[str, Any]:
    values = {
        "tensor": tensor, "op_type": "Cast", "attributes": {"to": TensorProto.DataType.Name(dtype)},
        "before": [graph.ref(node)],
    }  # fmt: skip
    return _fix(graph, make("node.insert", values))


def _imports(graph: Graph) -> Iterator[Finding]:
    for domain in sorted(missing_imports(graph)):
        message = f"The model does not import the operator set {domain}, of which it has nodes"
        yield Finding(message, "", "onnx and ONNX Runtime refuse it", "error", _fix(graph, ImportOpset(domain)))


def _whole(graph: Graph) -> Iterator[Finding]:
    """What onnx's checker says of the model as a whole, which it does of the first thing that it finds."""
    try:
        onnx.checker.check_model(to_model(graph))
    except (onnx.checker.ValidationError, ValueError) as error:
        message = _first(error)
        named = re.search(r"\bname: (\S+)", message)
        yield Finding(message, named[1].rstrip(")") if named else "", "Said by onnx.checker")


def _unused(graph: Graph) -> Iterator[Finding]:
    fix = _fix(graph, RemoveUnused())
    if fix:
        message = "There are nodes, weights or functions that no output needs"
        yield Finding(message, _idle(graph), "They cost space, and can't be seen in the engine", "warning", fix)


def _quantized(graph: Graph) -> Iterator[Finding]:
    """What TensorRT refuses, or loses by, in the Q/DQ of the model; what one operation repairs is one row. Scales that
    are guesses are drawn as such, and no problem."""
    found = [one for one in audit(graph) if one.rule != "guess"]
    repairs = [one for one in found if one.repair]
    if repairs:
        first = repairs[0]
        more = f", and {len(repairs) - 1} more" if len(repairs) > 1 else ""
        yield Finding(f"{first.text}{more}", first.where, first.hint, "warning",
                      _fix(graph, make("qdq.make_symmetric", {})))  # fmt: skip
    for one in [one for one in found if not one.repair][:MOST]:
        yield Finding(one.text, one.where, one.hint, "warning")


def _idle(graph: Graph) -> str:
    """One of the unused, to show."""
    for node, record in graph.nodes.items():
        if record.output and not any(graph.consumers(name) or graph.is_output(name) for name in record.output if name):
            return graph.ref(node)
    read = graph.users.keys()
    return next((name for name in graph.initializers if name not in read and not graph.is_output(name)), "")


def _fix(graph: Graph, operation: Operation) -> dict[str, Any]:
    if why_blocked(operation, graph) is not None:
        return {}
    return {"operation": operation.info.id, "parameters": parameters(operation)}

