"""The commands for scripts and CI, each a thin layer over what the window uses as well."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.app.output import print_fault, print_json, print_line
from graftwerk.app.recipe_settings import add_settings, utf8_text
from graftwerk.app.run_effect import add_options, as_json, tell, verified
from graftwerk.backend.fault import Fault, Settled
from graftwerk.backend.graph.files import load, save
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.shapes import infer
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.operations.effect import effect
from graftwerk.backend.operations.recipe import Recipe, replay
from graftwerk.backend.operations.registry import Operation, OperationInfo, Parameter, apply, info, make, operations
from graftwerk.backend.output_paths import check_outputs


def command(arguments: Sequence[str]) -> int:
    """Runs one of the commands. Raises Fault; wrong usage ends the process with 2, as argparse does."""
    if arguments[:1] == ["run"] and len(arguments) > 1 and not arguments[1].startswith("-"):
        return _run(arguments[1], arguments[2:])
    parsed = _parser().parse_args(arguments)
    return int(parsed.function(parsed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="graftwerk",
        usage="graftwerk [MODEL ...]  |  graftwerk COMMAND ...",
        description="Turn ONNX models into TensorRT engines. Without a command, the window opens.",
    )
    parser.add_argument("--version", action="version", version=f"graftwerk {version('graftwerk')}")
    commands = parser.add_subparsers(title="commands", prog="graftwerk", metavar="COMMAND", required=True)

    one = commands.add_parser("info", help="what a model holds")
    one.add_argument("model", type=Path)
    one.add_argument("--nodes", action="store_true", help="list every node with its reference")
    one.add_argument("--json", action="store_true")
    one.set_defaults(function=_info)

    one = commands.add_parser("ops", help="the operations and their parameters")
    one.add_argument("operation", nargs="?", help="show only this one")
    one.add_argument("--json", action="store_true")
    one.set_defaults(function=_ops)

    one = commands.add_parser("run", help="apply one operation to a model")
    one.add_argument("operation", help="its id, see `graftwerk ops`")
    one.set_defaults(function=lambda parsed: _run(parsed.operation, []))

    one = commands.add_parser("apply", help="replay a recipe on a model")
    one.add_argument("recipe", type=Path)
    one.add_argument("model", type=Path)
    one.add_argument("-o", "--output", type=Path)
    add_settings(one)
    add_options(one)
    one.add_argument("--json", action="store_true")
    one.set_defaults(function=_apply)

    from graftwerk.app import (
        coach_command,
        diff_command,
        engine_commands,
        errors_command,
        new_command,
        opset_command,
        pattern_commands,
        precision_commands,
        pruning_commands,
        quantize_commands,
        script_commands,
        sensitivity_command,
        subgraph_commands,
        weight_commands,
    )

    script_commands.add(commands)
    engine_commands.add(commands)
    precision_commands.add(commands)
    pruning_commands.add(commands)
    subgraph_commands.add(commands)
    diff_command.add(commands)
    new_command.add(commands)
    weight_commands.add(commands)
    pattern_commands.add(commands)
    quantize_commands.add(commands)
    sensitivity_command.add(commands)
    errors_command.add(commands)
    coach_command.add(commands)
    opset_command.add(commands)
    return parser


def _info(parsed: argparse.Namespace) -> int:
    graph = load(parsed.model)
    facts = describe(graph)
    if parsed.nodes:
        facts["node_list"] = [
            {"ref": graph.ref(node), "op": record.op_type, "inputs": list(record.input), "outputs": list(record.output)}
            for node, record in graph.nodes.items()
        ]
    if parsed.json:
        print_json(facts)
        return 0
    size = f"{facts['parameters']:,} parameters, {facts['weight_bytes']:,} bytes of weights"
    print_line(f"{parsed.model.name}: {facts['nodes']} nodes, {size}")
    opsets = ", ".join(f"{domain or 'ai.onnx'} {number}" for domain, number in facts["opsets"].items())
    print_line(f"IR {facts['ir_version']}, opsets {opsets}")
    for title in ("inputs", "outputs"):
        for name, kind in facts[title].items():
            print_line(f"{title[:-1]:7} {name}: {kind}")
    print_line("operators " + ", ".join(f"{name} ×{count}" for name, count in facts["operators"].items()))
    for problem in facts["problems"]:
        print_line(f"{problem['severity']}: {problem['where'] + ': ' if problem['where'] else ''}{problem['message']}")
    for node in facts.get("node_list", ()):
        print_line(f"{node['ref']}  {node['op']}  {', '.join(node['inputs'])} → {', '.join(node['outputs'])}")
    return 0


def describe(graph: Graph) -> dict[str, Any]:
    """What `info` tells of a model, as JSON values."""
    counts = Counter(f"{n.domain}::{n.op_type}" if n.domain else n.op_type for n in graph.nodes.values())
    return {
        "nodes": len(graph.nodes),
        "ir_version": graph.model.ir_version,
        "opsets": {entry.domain: entry.version for entry in graph.model.opset_import},
        "producer": f"{graph.model.producer_name} {graph.model.producer_version}".strip(),
        "inputs": {i.name: str(TensorType.of(i.type)) for i in graph.inputs if i.name not in graph.initializers},
        "outputs": {i.name: str(TensorType.of(i.type)) for i in graph.outputs},
        "initializers": len(graph.initializers),
        "parameters": sum(weight.size for weight in graph.initializers.values()),
        "weight_bytes": sum(weight.nbytes for weight in graph.initializers.values()),
        "functions": [f"{function.domain}::{function.name}" for function in graph.functions],
        "operators": dict(counts.most_common()),
        "problems": [
            {"severity": p.severity, "where": p.where, "message": p.message, "hint": p.hint} for p in graph.problems
        ],
    }


def _ops(parsed: argparse.Namespace) -> int:
    chosen = [_named(parsed.operation)] if parsed.operation else [operations()[key] for key in sorted(operations())]
    if parsed.json:
        print_json([_op_json(one) for one in chosen])
        return 0
    for one in chosen:
        print(f"{one.id}  {one.title}")
        if parsed.operation:
            print("  " + one.doc.replace("\n", "\n  ").rstrip())
        for parameter in one.parameters:
            needed = "required" if parameter.required else f"default {parameter.initial!r}"
            print(f"    {option(parameter):24} {_kind_text(parameter)}, {needed}. {parameter.help}".rstrip())
    return 0


def _op_json(one: OperationInfo) -> dict[str, Any]:
    fields = ("name", "kind", "required", "initial", "label", "help", "minimum", "maximum", "choices")
    listed = [{name: getattr(parameter, name) for name in fields} for parameter in one.parameters]
    return {
        "id": one.id, "title": one.title, "menu": one.menu, "doc": one.doc, "preserves": one.preserves,
        "parameters": listed,
    }  # fmt: skip


def _kind_text(parameter: Parameter) -> str:
    return "one of " + ", ".join(parameter.choices) if parameter.choices else parameter.kind


def option(parameter: Parameter) -> str:
    """A parameter's option on the command line."""
    return "--" + parameter.name.replace("_", "-")


def _run(operation: str, arguments: Sequence[str]) -> int:
    found = _named(operation)
    parser = argparse.ArgumentParser(
        prog=f"graftwerk run {operation}", description=found.doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--json", action="store_true", help="print what changed as JSON")
    add_options(parser)
    group = parser.add_argument_group("parameters")
    for parameter in found.parameters:
        _add_option(group, parameter)
    parsed = parser.parse_args(arguments)
    if parsed.output is None and not parsed.dry_run:
        parser.error("the following arguments are required: -o/--output")
    if parsed.output is not None:
        check_outputs({"model": parsed.output})
    given = {p.name: getattr(parsed, f"param_{p.name}") for p in found.parameters}
    with _hinting(f"`graftwerk ops {operation}` says what it takes"):
        step = make(operation, {name: value for name, value in given.items() if value is not None})
    graph = load_typed(parsed.model)
    with _hinting(f"`graftwerk ops {operation}` says what it takes; `graftwerk info MODEL --nodes` lists the nodes"):
        try:
            changed = apply(step, graph)
        except Settled as nothing:
            _tell_settled(nothing)
            changed = graph
    return _finish(graph, changed, parsed, 1, step.remarks(graph, changed))


def _named(operation: str) -> OperationInfo:
    """An operation by its id. A wrong one is wrong usage, and ends the process with 2."""
    try:
        return info(operation)
    except Fault as fault:
        print_fault(fault)
        raise SystemExit(2) from None


def _tell_settled(nothing: Settled) -> None:
    print(f"graftwerk: nothing to do: {nothing.message[0].lower()}{nothing.message[1:]}", file=sys.stderr)


@contextmanager
def _hinting(hint: str) -> Iterator[None]:
    """Adds a hint to a Fault that has none."""
    try:
        yield
    except Fault as fault:
        fault.hint = fault.hint or hint
        raise


def _add_option(group: argparse._ArgumentGroup, parameter: Parameter) -> None:
    kinds: dict[str, dict[str, Any]] = {
        "flag": {"action": argparse.BooleanOptionalAction},
        "integer": {"type": int},
        "number": {"type": float},
        "nodes": {"nargs": "+", "metavar": "NODE", "type": utf8_text},
        "tensors": {"nargs": "+", "metavar": "TENSOR", "type": utf8_text},
        "texts": {"nargs": "+", "metavar": "TEXT", "type": utf8_text},
        "file": {"metavar": "FILE", "type": utf8_text},
        "choice": {"choices": parameter.choices},
        "mapping": {"type": _json, "metavar": "JSON"},
        "json": {"type": _json, "metavar": "JSON"},
    }
    named = {} if parameter.kind in ("flag", "choice") else {"metavar": parameter.kind.upper()}
    group.add_argument(
        option(parameter),
        dest=f"param_{parameter.name}",
        required=parameter.required,
        default=None,
        help=(parameter.help or parameter.label).replace("%", "%%"),
        **{**named, **kinds.get(parameter.kind, {"type": utf8_text})},
    )


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
    except RecursionError:
        raise argparse.ArgumentTypeError("it is nested too deeply") from None


def _apply(parsed: argparse.Namespace) -> int:
    if parsed.output is None and not parsed.dry_run:
        raise Fault("It is not said where the model goes", "-o", "Give -o OUT, or --dry-run to write nothing")
    if parsed.output is not None:
        check_outputs({"model": parsed.output}, [parsed.recipe])
    recipe = Recipe.load(parsed.recipe)
    graph = load_typed(parsed.model)

    def step(number: int, operation: Operation) -> None:
        print(f"[{number}/{len(recipe.steps)}] {operation.summary()}", file=sys.stderr)

    with _hinting("Change this step in the recipe, or leave it out"):
        changed = replay(recipe, graph, dict(parsed.set), step, lambda _, nothing: _tell_settled(nothing))
    return _finish(graph, changed, parsed, sum(step.enabled for step in recipe.steps))


def load_typed(path: Path) -> Graph:
    """A model with the types that operations ask for, as far as they can be inferred."""
    graph = load(path)
    try:
        return graph.with_types(infer(graph))
    except Fault:
        return graph  # operations say themselves what they can't know


#: Errors of an edited model that are told one by one.
_MOST_ERRORS = 5


def _finish(
    before: Graph, graph: Graph, parsed: argparse.Namespace, steps: int, remarks: tuple[str, ...] = ()
) -> int:
    """Writes the model, unless it is only to be told what would be done; tells the effect, and verifies."""
    from graftwerk.backend.validate import new_errors  # not needed where the model is only told about

    found = effect(before, graph, remarks) if parsed.dry_run or parsed.json else None
    said = verified(before, graph, parsed.verify_inputs) if parsed.verify else None
    code = 1 if said is not None and said.state != "verified" else 0
    moved = "" if parsed.dry_run else save(graph, parsed.output)
    if moved:
        why = "an ONNX file can't hold more than 2 GiB"
        print(f"graftwerk: the weights are in {moved}, for {why}", file=sys.stderr)
    errors = new_errors(before, graph)
    if parsed.json:
        reason = graph.incomplete.text if graph.incomplete else None
        output = None if parsed.dry_run else str(parsed.output)
        result: dict[str, Any] = {"output": output, "steps": steps, "nodes": len(graph.nodes), "incomplete": reason}
        result |= {**as_json(found, said), "errors": [{"where": one.where, "message": one.message} for one in errors]}
        print_json({**result, "external": moved} if moved else result)
        return code
    tell(found, said)
    for error in errors[:_MOST_ERRORS]:
        print(f"graftwerk: not valid now: {error.where + ': ' if error.where else ''}{error.message}", file=sys.stderr)
    if len(errors) > _MOST_ERRORS:
        print(f"graftwerk: and {len(errors) - _MOST_ERRORS} more nodes", file=sys.stderr)
    if found is None:
        for remark in remarks:
            print(f"graftwerk: {remark}", file=sys.stderr)
    if graph.incomplete:
        print(f"graftwerk: the model can't run as it is: {graph.incomplete.text}", file=sys.stderr)
        if graph.incomplete.hint:
            print(f"hint: {graph.incomplete.hint}", file=sys.stderr)
    return code
