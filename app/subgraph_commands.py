"""The commands that make new models of parts of one: extract and split."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwerk.backend.fault import Fault

if TYPE_CHECKING:
    from graftwerk.backend.graph.graph import Graph

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


_SELECTORS = "names, or selectors such as @scope=/layer1"


def add(commands: Commands) -> None:
    """Adds the commands to the program's."""
    one = commands.add_parser(
        "extract",
        help="a part of a model as a model of its own",
        description="Takes the part between named tensors, or the named nodes; external data is not loaded.",
    )
    one.add_argument("model", type=Path)
    one.add_argument("--inputs", nargs="+", default=[], metavar="TENSOR", help=f"where the part begins; {_SELECTORS}")
    one.add_argument("--outputs", nargs="+", default=[], metavar="TENSOR", help=f"where it ends; {_SELECTORS}")
    text = f"the nodes to take, in place of tensors; {_SELECTORS}"
    one.add_argument("--nodes", nargs="+", default=[], metavar="NODE", help=text)
    one.add_argument("-o", "--output", type=Path, required=True)
    one.add_argument("--json", action="store_true")
    one.set_defaults(function=_extract)

    one = commands.add_parser(
        "split",
        help="a model in two at a cut",
        description="The first model computes the named tensors, the second reads them. ONNX Runtime then runs both, "
        "one after the other, and compares with the whole on random inputs; exits with 1 where they differ.",
    )
    one.add_argument("model", type=Path)
    text = f"what goes from one to the other; {_SELECTORS}"
    one.add_argument("--at", nargs="+", required=True, metavar="TENSOR", help=text)
    one.add_argument("-o", "--output", nargs=2, type=Path, required=True, metavar=("A", "B"))
    one.add_argument("--complete", action="store_true", help="cut also at what else both parts need")
    one.add_argument("--no-verify", action="store_true", help="don't run them")
    one.add_argument("--json", action="store_true")
    one.set_defaults(function=_split)


def _load(path: Path) -> Graph:
    from graftwerk.backend.graph.files import load
    from graftwerk.backend.graph.shapes import typed

    return typed(load(path))


def _extract(parsed: argparse.Namespace) -> int:
    from graftwerk.backend.graph.files import save
    from graftwerk.backend.operations.keep import Keep, extracted
    from graftwerk.backend.operations.selectors import border_tensors, node_refs
    from graftwerk.backend.output_paths import check_outputs

    check_outputs({"model": parsed.output})
    graph = _load(parsed.model)
    inputs = border_tensors(parsed.inputs, graph, "inputs")
    outputs = border_tensors(parsed.outputs, graph, "outputs")
    part = extracted(graph, Keep(node_refs(parsed.nodes, graph), inputs, outputs).crop(graph))
    save(part, parsed.output)
    _tell({"model": _facts(part, parsed.output)}, parsed.json)
    return 0


def _split(parsed: argparse.Namespace) -> int:
    from graftwerk.backend.graph.crop import cut_at
    from graftwerk.backend.graph.files import save
    from graftwerk.backend.operations.keep import extracted
    from graftwerk.backend.operations.selectors import border_tensors
    from graftwerk.backend.output_paths import check_outputs

    check_outputs({"first model": parsed.output[0], "second model": parsed.output[1]})
    graph = _load(parsed.model)
    at = border_tensors(parsed.at, graph, "outputs")
    parts = [extracted(graph, crop) for crop in cut_at(graph, at, parsed.complete)]
    for part, path in zip(parts, parsed.output, strict=True):
        save(part, path)
    facts: dict[str, Any] = {
        name: _facts(part, path) for name, part, path in zip(("first", "second"), parts, parsed.output, strict=True)
    }
    same = True
    if not parsed.no_verify:
        facts["verification"], same = _verified(graph, parsed.model, *parsed.output)
    _tell(facts, parsed.json)
    return 0 if same else 1


def _verified(graph: Graph, whole: Path, first: Path, second: Path) -> tuple[dict[str, Any], bool]:
    """What is told of the run, and whether nothing differs; a model that can't be run is called not verified."""
    from graftwerk.backend.pipeline import check_pipeline

    try:
        found = check_pipeline(graph, whole, first, second)
    except Fault as fault:
        return {"verified": False, "why": str(fault)}, True
    largest = {one.name: one.largest for one in found.outputs}
    return {"verified": True, "same": found.same, "largest_difference": largest, "inputs": found.inputs}, found.same


def _facts(graph: Graph, path: Path) -> dict[str, Any]:
    from graftwerk.backend.graph.types import TensorType

    return {
        "output": str(path),
        "nodes": len(graph.nodes),
        "inputs": {info.name: str(TensorType.of(info.type)) for info in graph.inputs},
        "outputs": {info.name: str(TensorType.of(info.type)) for info in graph.outputs},
    }


def _tell(facts: dict[str, Any], as_json: bool) -> None:
    from graftwerk.app.output import print_json, print_line

    if as_json:
        print_json(facts.get("model", facts))
        return
    for key, each in facts.items():
        if key == "verification":
            print_line(_verdict(each))
            continue
        print_line(f"{each['output']}: {each['nodes']} nodes")
        for title in ("inputs", "outputs"):
            for name, kind in each[title].items():
                print_line(f"  {title[:-1]:7} {name}: {kind}")


def _verdict(found: dict[str, Any]) -> str:
    if not found["verified"]:
        return f"not verified: {found['why']}"
    largest = max(found["largest_difference"].values(), default=0.0)
    word = "the same as" if found["same"] else "NOT the same as"
    how = f"ONNX Runtime, random inputs, largest difference {largest:g}"
    return f"one after the other they compute {word} the whole ({how})"
