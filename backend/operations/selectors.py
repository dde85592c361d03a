"""Selectors: what nodes or tensors are like, in place of their names, so that a recipe survives names that shift.

    @op=Conv                              every Conv
    @op=Conv,Gemm & scope=/layer1         Conv and Gemm below a scope
    @name=*/attention/* & !op=Reshape     by a pattern of names, * and ? as in a shell; but no Reshape
    @name~/layer\\.\\d+/conv1$              by a regular expression, found anywhere in the name
    @attr.group=1 & domain=com.microsoft  by an attribute's value (JSON, or a text), by domain
    @pattern=gelu                         every node of the occurrences of a named pattern
    @op=Conv [0]                          the first in the model's order; [-1] is the last, [2:5] a part
    @in1: op=Conv                         tensors: the second input of those nodes
    @out0: op=Relu [0]                    tensors: the first output
    @graph.input [0], @graph.output       tensors: the model's own, in their order

Conditions that are joined by & hold together. A name that is really in the model comes before a selector.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeVar

from onnx import NodeProto
from onnx.helper import get_attribute_value

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.crop import around
from graftwerk.backend.graph.graph import Graph, NodeId, NodeRef, TensorName
from graftwerk.backend.graph.scopes import scope_of
from graftwerk.backend.operations.registry import Operation

_CONDITION = re.compile(r"(!?)\s*(op|domain|scope|name|pattern|attr\.\w+)\s*(=|~)\s*(.+)", re.DOTALL)
#: Not behind an equals sign, where it is the value of an attribute: `@attr.axes=[0]`.
_ONE = re.compile(r"(.*[^=\s])\s*\[(-?\d+)\]\s*", re.DOTALL)
_SOME = re.compile(r"(.*[^=\s])\s*\[(-?\d*):(-?\d*)\]\s*", re.DOTALL)
_PORT = re.compile(r"(in|out)(\d+)\s*:\s*(.*)", re.DOTALL)
_OF_GRAPH = ("graph.input", "graph.output")
_HELP = "Such as @op=Conv & scope=/layer1 [0]; CONTRIBUTING and the guide list all forms"
_SHOWN = 3
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Condition:
    key: str
    sign: str
    value: str
    negated: bool

    def __str__(self) -> str:
        return f"{'!' if self.negated else ''}{self.key}{self.sign}{self.value}"


def is_selector(text: str) -> bool:
    return text.startswith("@")


def expanded(operation: Operation, graph: Graph) -> Operation:
    """The operation with names of this graph in place of selectors. Raises Fault where one finds nothing, or where
    several are found for a parameter that takes one."""
    changes: dict[str, Any] = {}
    for parameter in operation.info.parameters:
        value = getattr(operation, parameter.name)
        if parameter.kind in ("nodes", "tensors") and any(map(is_selector, value)):
            find = _node_names if parameter.kind == "nodes" else _tensors
            changes[parameter.name] = _names(value, graph, find)
        elif parameter.kind in ("node", "tensor") and is_selector(value):
            found = _node_names(value, graph) if parameter.kind == "node" else _tensors(value, graph)
            if len(found) > 1:
                shown = ", ".join(found[:_SHOWN]) + (" …" if len(found) > _SHOWN else "")
                hint = f"Say more of it, or which: {value} [0]. They are {shown}"
                raise Fault(f"{len(found)} match, and {parameter.label} takes one", value, hint)
            changes[parameter.name] = found[0]
    return replace(operation, **changes) if changes else operation


def select_nodes(text: str, graph: Graph) -> list[NodeId]:
    """The nodes that a selector means, in the model's order. Raises Fault where it can't be read, or none is found."""
    body, part = _split_part(text.removeprefix("@"))
    conditions = [_condition(one, text) for one in body.split("&")]
    found = list(graph.nodes)
    for condition in conditions:
        found = _matching(condition, found, graph)
    if not found:
        raise Fault("No node matches", text, _why_none(conditions, graph))
    return _taken(found, part, text)


def border_tensors(texts: Iterable[str], graph: Graph, side: Literal["inputs", "outputs"]) -> tuple[TensorName, ...]:
    """Tensors by name or selector, where a part of the model begins or ends: a selector of nodes means what these read
    of the rest, or what the rest reads of them. Raises Fault as `select_nodes`."""
    found: list[str] = []
    for text in texts:
        if not is_selector(text) or graph.defines(text):
            found.append(text)
        elif _is_of_tensors(text):
            found += _tensors(text, graph)
        else:
            found += getattr(around(graph, set(select_nodes(text, graph))), side)
    return tuple(map(TensorName, dict.fromkeys(found)))


def node_refs(texts: Iterable[str], graph: Graph) -> tuple[NodeRef, ...]:
    """Nodes by name or selector, each once. Raises Fault as `select_nodes`."""
    return tuple(map(NodeRef, _names(texts, graph, _node_names)))


def _names(texts: Iterable[str], graph: Graph, find: Callable[[str, Graph], list[str]]) -> tuple[str, ...]:
    found = [name for text in texts for name in (find(text, graph) if is_selector(text) else [text])]
    return tuple(dict.fromkeys(found))


def _is_of_tensors(text: str) -> bool:
    body = _split_part(text.removeprefix("@"))[0]
    return body in _OF_GRAPH or _PORT.fullmatch(body) is not None


def _node_names(text: str, graph: Graph) -> list[str]:
    return [text] if text in graph.names else [graph.ref(node) for node in select_nodes(text, graph)]


def _tensors(text: str, graph: Graph) -> list[str]:
    if graph.defines(text):
        return [text]
    body, part = _split_part(text.removeprefix("@"))
    if body in _OF_GRAPH:
        infos = graph.inputs if body == "graph.input" else graph.outputs
        names = [info.name for info in infos if body == "graph.output" or info.name not in graph.initializers]
        return _taken(names, part, text)
    port = _PORT.fullmatch(body)
    if port is None:
        hint = "Such as @out0: op=Relu, @in1: op=Conv, or @graph.input [0]"
        raise Fault("This selector is of nodes, and a tensor is needed", text, hint)
    names = []
    for node in select_nodes("@" + port[3], graph):
        record = graph.nodes[node]
        ports = record.input if port[1] == "in" else record.output
        if int(port[2]) < len(ports) and ports[int(port[2])]:
            names.append(ports[int(port[2])])
    if not names:
        raise Fault(f"No node that matches has {port[1]}put {port[2]}", text, _HELP)
    return _taken(list(dict.fromkeys(names)), part, text)


def _split_part(text: str) -> tuple[str, slice]:
    one, some = _ONE.fullmatch(text), _SOME.fullmatch(text)
    if one is not None:
        at = int(one[2])
        return one[1].strip(), slice(at, at + 1 or None)
    if some is not None:
        first, last = (int(number) if number else None for number in some.groups()[1:])
        return some[1].strip(), slice(first, last)
    return text.strip(), slice(None)


def _taken(found: list[T], part: slice, text: str) -> list[T]:
    if not found[part]:
        raise Fault("The part in [ ] is beyond what matches", text, f"{len(found)} match")
    return found[part]


def _condition(text: str, whole: str) -> _Condition:
    found = _CONDITION.fullmatch(text.strip())
    if found is None:
        raise Fault(f"{text.strip()!r} can't be read", whole, _HELP)
    if found[3] == "~":
        if found[2] != "name":
            raise Fault("Only names have regular expressions (~)", whole, _HELP)
        try:
            re.compile(found[4].strip())
        except re.error as error:
            raise Fault(f"Not a regular expression: {error}", whole, _HELP) from None
    return _Condition(found[2], found[3], found[4].strip(), bool(found[1]))


def _matching(condition: _Condition, nodes: Iterable[NodeId], graph: Graph) -> list[NodeId]:
    test = _test(condition, graph)
    return [node for node in nodes if test(node, graph.nodes[node]) != condition.negated]


def _test(condition: _Condition, graph: Graph) -> Callable[[NodeId, NodeProto], bool]:
    value = condition.value
    if condition.key == "op":
        ops = {one.strip() for one in value.split(",")}
        return lambda node, record: record.op_type in ops
    if condition.key == "domain":
        return lambda node, record: (record.domain or "ai.onnx") == value
    if condition.key == "scope":
        wanted = tuple(part for part in value.split("/") if part)
        return lambda node, record: scope_of(record)[: len(wanted)] == wanted
    if condition.key == "name":
        if condition.sign == "~":
            return lambda node, record: re.search(value, graph.ref(node)) is not None
        return lambda node, record: fnmatchcase(graph.ref(node), value)
    if condition.key == "pattern":
        from graftwerk.backend.match.library import nodes_matching  # patterns are read when one is asked for

        inside = {node for occurrence in nodes_matching(graph, value) for node in occurrence}
        return lambda node, record: node in inside
    name = condition.key.removeprefix("attr.")
    return lambda node, record: any(attr.name == name and _equals(attr, value) for attr in record.attribute)


def _equals(attribute: Any, text: str) -> bool:
    value = get_attribute_value(attribute)
    if isinstance(value, bytes):
        return bool(value.decode(errors="replace") == text)
    try:
        wanted = json.loads(text)
    except ValueError:
        return False
    found = list(value) if hasattr(value, "__len__") and not isinstance(value, str) else value
    return bool(found == wanted)


def _why_none(conditions: Sequence[_Condition], graph: Graph) -> str:
    """How many nodes each condition alone leaves: the one that leaves none is what shifted."""
    alone = [f"{condition}: {len(_matching(condition, graph.nodes, graph))}" for condition in conditions]
    return f"Each condition alone matches this many nodes: {'; '.join(alone)}" if len(alone) > 1 else _HELP
