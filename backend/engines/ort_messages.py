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

_PLACES = (
    r'In Node, \("(.*?)", ', r"in node \((.*)\)(?: is invalid|\.|$)", r"Name:'(.*?)' Status", r"Node \((.*?)\) Op \(",
    r"node with name '(.*?)'", r"for (?:the )?node (.+)",
)  # fmt: skip
_OPERATOR = re.compile(r"while running (\w+) node|Op \((\w+)\)")
#: What stands around the reason: the runtime's own name and code, the node (it is told apart), and the line of its
#: source with the function and the condition that was checked there.
_AROUND = (
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : ",
    r"^(?:Load model from .*? failed:\s*)?(?:This is an invalid model\. )?",
    r"^In Node, .*?, Error ",
    r"^Non-zero status code returned while running .*? Status Message: ",
    r"^Node \(.*?\) Op \(\w+\) ",
    r"^(?:[^\s()]*/)?[\w.]+\.(?:h|hpp|cc|cpp|cu):\d+ "
    r"(?:[^()]*::[^()]*(?:\(\))?\((?:[^()]|\([^()]*\))*\)(?: const)? (?:.{1,300}? was false\. (?=\S))?|\w+ )",
    r"^\[\w*Error\] ", r"^(?:Type|Fatal) [Ee]rror: ", r" in node \(.*\)(?=\.?$| is invalid)",
)  # fmt: skip
#: Reasons that can be said more plainly.
_PLAINER = (
    (r"Input channels C is not equal to kernel channels \* group\. C: (\d+) kernel channels: (\d+) group: 1\b.*",
     r"its input has \1 channels, its weights are for \2"),
    (r"Attempting to broadcast an axis by a dimension other than 1\. (\d+) by (\d+).*",
     r"its inputs don't fit together: sizes \1 and \2 of one axis can't be broadcast"),
    (r"Can't merge shape info\. Both inferred and declared dimension have values but they differ\. "
     r"Inferred=(\S+) Declared=(\S+) Dimension=(\d+).*",
     r"its output has size \1 in dimension \3, the model declares \2"),
    (r"Type parameter \(\w+\) of Optype \((\w+)\) bound to different types \((tensor\(\w+\)) and (tensor\(\w+\)).*",
     r"\1 reads different datatypes, \2 and \3"),
    (r"Node\(.*\) with schema\(::(\w+):(\d+)\) has", r"\1 (opset \2) has"),
    (r"([\w.]+):(\w+)\(-?\d+\) is not a registered function/op", r"there is no operator \2 in the domain \1"),
    (r"ONNX Runtime only \*guarantees\* support .*?(Opset \d+) .*is till (opset \d+)\.?",
     r"\1 is too new: it knows \2"),
)  # fmt: skip
_HINTS = (
    (r"not a registered function/op|No Op registered|Could not find an implementation",
     "ONNX Runtime has no such operator. A plugin node needs its original subgraph as a stand-in."),
    (r"Unsupported model IR version|models stamped with official released onnx opset",
     "Install a newer ONNX Runtime, or export the model again for an older opset."),
    (r"[Ee]xternal data|is not regular file", "Put the file with the weights beside the model, as it was exported."),
    (r"Type Error", "Change the datatype of an input, or put a Cast in front of the node."),
    (r"ShapeInferenceError", "Shapes do not fit here: change the dimensions of the graph's inputs, or undo the edit."),
)  # fmt: skip
_UNREGISTERED = re.compile(r"Fatal error: (.*):(\w+)\(-?\d+\) is not a registered function/op")


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
    hint = next((better for pattern, better in _HINTS if re.search(pattern, text)), hint)
    hint = hint or "Change what it complains about, or export the model again."
    return Fault(f"ONNX Runtime: {reason_of(text)}", _where(text, model, owners), hint)


def reason_of(text: str) -> str:
    """What an error's text says is wrong, without what only ONNX Runtime's developers need."""
    reason = text.strip().splitlines()[0] if text.strip() else "unknown error"
    for pattern in _AROUND:
        reason = re.sub(pattern, "", reason, count=1) or reason
    for pattern, plainer in _PLAINER:
        reason = re.sub(pattern, plainer, reason, count=1)
    return reason.strip()


def _where(text: str, model: onnx.ModelProto, owners: dict[str, str]) -> str:
    found = _UNREGISTERED.search(text)
    if found:
        kind = found.groups()
        return next((node.name for node in model.graph.node if (node.domain, node.op_type) == kind), "")
    for pattern in _PLACES:
        found = re.search(pattern, text)
        if found:
            kinds = _OPERATOR.search(text)
            return owners.get(found[1]) or _node_named(found[1], (kinds[1] or kinds[2]) if kinds else "", model)
    return ""


def _node_named(name: str, op_type: str, model: onnx.ModelProto) -> str:
    """The node of the main graph behind a name that may be one of ONNX Runtime's making; "" where none is known.

    A node that it fused is called after the tensor that it makes, and a node of a function that it inlined after the
    function.
    """
    nodes = model.graph.node
    if any(node.name == name for node in nodes):
        return name
    makers = {output: node for node in nodes for output in node.output if output}
    at = makers.get(name[: -len("_nchwc")] if name.endswith("_nchwc") else name)
    for _ in range(4):  # what is fused into an operator comes behind it
        if at is None or at.op_type == op_type:
            break
        at = next((makers[tensor] for tensor in at.input if tensor in makers), None)
    if at is not None:
        return str(at.name)
    functions = {function.name for function in model.functions if f"_{function.name} " in name}
    callers = [node.name for node in nodes if node.op_type in functions]
    return callers[0] if len(callers) == 1 else ""
