"""Names and messages: how ONNX Runtime's errors lead back to a node of the user's model.

It names a node by the node's name, which may be empty or shared. So nodes are renamed before it sees them: those of
the main graph to their references, those in bodies (If, Loop, Scan) to names of their own whose owner is known, those
of local functions to any.

Runs on Python 3.9 with onnx beside.
"""

from __future__ import annotations

import re

import onnx

from graftwerk.backend.engines.source import SourceGraph
from graftwerk.backend.fault import Fault

_PLACES = (r'In Node, \("(.*?)", ', r"in node \((.*)\) is invalid", r"Name:'(.*?)' Status", r"for (?:the )?node (.+)")
_UNREGISTERED = re.compile(r"Fatal error: (.*):(\w+)\(-?\d+\) is not a registered function/op")
_MISSING = re.compile(r"not a registered function/op|No Op registered|Could not find an implementation")


def rename_nodes(model: onnx.ModelProto, source: SourceGraph) -> dict[str, str]:
    """Rename the nodes in place; the reference of the main graph's node that holds each inner one, by its name."""
    owners: dict[str, str] = {}
    for node, origin in zip(model.graph.node, source.nodes):
        node.name = origin.ref
        _rename_bodies(node, origin.ref, owners)
    for function in model.functions:
        for number, node in enumerate(function.node):
            node.name = f"{function.name} {number}"
    return owners


def _rename_bodies(node: onnx.NodeProto, owner: str, owners: dict[str, str]) -> None:
    for attribute in node.attribute:
        for body in [attribute.g, *attribute.graphs] if attribute.HasField("g") else attribute.graphs:
            for inner in body.node:
                inner.name = f"{owner} body {len(owners)}"
                owners[inner.name] = owner
                _rename_bodies(inner, owner, owners)


def fault_of(text: str, model: onnx.ModelProto, owners: dict[str, str], hint: str) -> Fault:
    """The Fault for an error's text, with the node that it speaks of; `hint` unless the text suggests a better one."""
    if _MISSING.search(text):
        hint = "ONNX Runtime has no such operator. A plugin node needs its original subgraph as a stand-in."
    message = text.strip().splitlines()[0] if text.strip() else "unknown error"
    return Fault(f"ONNX Runtime: {message}", _where(text, model, owners), hint)


def _where(text: str, model: onnx.ModelProto, owners: dict[str, str]) -> str:
    found = _UNREGISTERED.search(text)
    if found:
        kind = found.groups()
        return next((node.name for node in model.graph.node if (node.domain, node.op_type) == kind), "")
    for pattern in _PLACES:
        found = re.search(pattern, text)
        if found:
            return owners.get(found[1], found[1])
    return ""
