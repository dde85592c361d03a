"""`graftwerk weights`: what weights a model holds, and their values in numpy's files."""

from __future__ import annotations

import argparse
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from graftwerk.app.output import print_json, print_line
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.numpy_files import export
from graftwerk.backend.graph.schema import close_names
from graftwerk.backend.graph.statistics import statistics
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.graph.types import DTYPE_NAMES
from graftwerk.backend.output_paths import check_outputs, files_of


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    weights = commands.add_parser("weights", help="list a model's weights, or export them to .npy and .npz")
    kinds = weights.add_subparsers(title="commands", metavar="COMMAND", required=True)
    names = "a weight's name, or a pattern such as 'layer1.*'"

    one = kinds.add_parser("list", help="datatype, shape, size and place of weights")
    one.add_argument("model", type=Path)
    one.add_argument("names", nargs="*", metavar="NAME", help=names)
    one.add_argument("--statistics", action="store_true", help="read the values too: extent, mean, zeros, NaN")
    one.add_argument("--json", action="store_true")
    one.set_defaults(function=_list)

    one = kinds.add_parser("export", help="write weights to a .npy file (one) or an .npz file (any number)")
    one.add_argument("model", type=Path)
    one.add_argument("names", nargs="+", metavar="NAME", help=names)
    one.add_argument("-o", "--output", type=Path, required=True)
    one.add_argument("--json", action="store_true")
    one.set_defaults(function=_export)


def _chosen(graph: Graph, names: list[str]) -> list[Initializer]:
    """The weights of names and patterns, in the order of the model. Raises Fault for one that fits none."""
    found: dict[str, Initializer] = {}
    for name in names:
        fitting = [name] if name in graph.initializers else [n for n in graph.initializers if fnmatchcase(n, name)]
        if not fitting:
            hint = close_names(name, graph.initializers) or "`graftwerk weights list MODEL` shows them"
            raise Fault("There is no such weight", name, hint)
        found.update({each: graph.initializers[each] for each in fitting})
    return [weight for name, weight in graph.initializers.items() if name in found or not names]


def _list(parsed: argparse.Namespace) -> int:
    graph = load(parsed.model)
    rows = [_facts(weight, parsed.statistics) for weight in _chosen(graph, parsed.names)]
    if parsed.json:
        print_json(rows)
        return 0
    for row in rows:
        shape = "×".join(map(str, row["shape"])) or "scalar"
        known = [key for key in ("minimum", "maximum", "mean") if row.get(key) is not None]
        figures = "".join(f"  {key} {row[key]:.5g}" for key in known)
        print_line(f"{row['name']}  {row['dtype']}  {shape}  {row['bytes']:,} bytes  {row['where']}{figures}")
    return 0


def _facts(weight: Initializer, with_values: bool) -> dict[str, Any]:
    span = weight.span
    where = "stripped" if weight.stripped is not None else span.location if span and span.location else "model"
    row: dict[str, Any] = {
        "name": weight.name, "dtype": DTYPE_NAMES.get(weight.dtype, str(weight.dtype)), "shape": list(weight.dims),
        "bytes": weight.nbytes, "where": where,
    }  # fmt: skip
    if with_values and weight.stripped is None and weight.dtype not in (8, 14, 15):
        found = statistics(weight)
        assert found is not None
        finite = bool(found.histogram)
        row |= {key: getattr(found, key) if finite else None for key in ("minimum", "maximum", "mean", "deviation")}
        row |= {"zeros": found.zeros, "nans": found.nans, "infinities": found.infinities}
    return row


def _export(parsed: argparse.Namespace) -> int:
    graph = load(parsed.model)
    check_outputs({"array": parsed.output}, files_of(graph, parsed.model))
    weights = _chosen(graph, parsed.names)
    export(weights, parsed.output)
    if parsed.json:
        print_json({"output": str(parsed.output), "weights": [weight.name for weight in weights]})
    return 0
