"""What in a graph comes closest to a name that isn't there: a re-export shifts names, and the reader has to find it."""

from __future__ import annotations

from graftwerk.backend.graph.graph import Graph

_MOST = 3
#: Similarity in percent below which a name is no help.
_LEAST = 60


def closest(name: str, graph: Graph) -> str:
    """A sentence with up to three names of nodes and tensors; empty where the name is there, or nothing is near."""
    if not name or name in graph.names or graph.defines(name):
        return ""
    from rapidfuzz import fuzz, process  # only where something failed

    ops = {record.name: record.op_type for record in graph.nodes.values() if record.name}
    names = [*ops, *(tensor for tensor in graph.tensors() if tensor not in ops)]
    found = process.extract(name, names, scorer=fuzz.ratio, limit=_MOST, score_cutoff=_LEAST)
    shown = [f"{text} ({ops[text]})" if text in ops else text for text, _, _ in found]
    return f"Closest are {', '.join(shown)}." if shown else ""
