"""Comparing two models of 10,000 nodes: from the files to what differs, names shifted or nodes edited."""

from __future__ import annotations

import tempfile
from pathlib import Path
from time import perf_counter

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.compare.compare import compare
from graftwerk.backend.graph.files import load, save
from graftwerk.backend.operations.registry import apply, make
from tests.bench.rows import Row, model


def main() -> list[Row]:
    path = model("llm10k")
    graph = load(path)
    middle = [graph.ref(node) for node, record in graph.nodes.items() if record.op_type == "Neg"][40:50]
    edits = {
        "all names changed": make("graph.rename_pattern", {"pattern": "^", "replacement": "new/", "ports": True}),
        "ten nodes deleted": make("node.delete", {"nodes": middle}),
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for title, edit in edits.items():
            other = Path(folder) / f"{title}.onnx"
            save(apply(edit, graph), other)
            begin = perf_counter()
            found = compare(load(path), load(other))
            seconds = perf_counter() - begin
            kinds = sorted({node.kind for node in found.nodes})
            rows.append(Row(f"10,000 against 10,000 nodes, {title} ({', '.join(kinds)})", seconds, bound=3.0))
    return rows
