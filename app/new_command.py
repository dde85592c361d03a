"""`graftwerk new`: a model from nothing."""

from __future__ import annotations

import argparse
from pathlib import Path

from graftwerk.app.output import print_json, print_line
from graftwerk.backend.graph.files import save
from graftwerk.backend.graph.new import OPSET, new_model, parse_port
from graftwerk.backend.output_paths import check_outputs


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = commands.add_parser("new", help="make a model from nothing")
    one.add_argument("-o", "--output", type=Path, required=True)
    port = "NAME:DATATYPE:SHAPE, such as x:float32:1x3x224x224 or ids:int64:batchxseq; may be given several times"
    one.add_argument("--input", action="append", default=[], metavar="PORT", dest="inputs", help=port)
    text = "as --input; a Placeholder node makes it until others do"
    one.add_argument("--graph-output", action="append", default=[], metavar="PORT", dest="outputs", help=text)
    one.add_argument("--name", default="", help="the graph's name; the file's without it")
    one.add_argument("--opset", type=int, default=OPSET)
    one.add_argument("--ir", type=int, default=0, help="IR version; the oldest that can hold the opset without it")
    one.add_argument("--producer", default="Graftwerk")
    one.add_argument("--json", action="store_true")
    one.set_defaults(function=_new)


def _new(parsed: argparse.Namespace) -> int:
    check_outputs({"model": parsed.output})
    graph = new_model(
        parsed.name or parsed.output.stem, [parse_port(text) for text in parsed.inputs],
        [parse_port(text) for text in parsed.outputs], opset=parsed.opset, ir=parsed.ir, producer=parsed.producer,
    )  # fmt: skip
    save(graph, parsed.output)
    incomplete = graph.incomplete.text if graph.incomplete is not None else None
    if parsed.json:
        facts = {"output": str(parsed.output), "opset": graph.opset(), "ir_version": graph.model.ir_version}
        print_json({**facts, "incomplete": incomplete})
    elif graph.incomplete is not None:
        print_line(f"{graph.incomplete.text}: {graph.incomplete.hint}")
    return 0
