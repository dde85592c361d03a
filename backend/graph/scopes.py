"""Name scopes: the modules that an exporter wrote into node names, as a tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from onnx import NodeProto

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph, NodeId

#: Where torch's dynamo exporter keeps the module path, since its node names have none: `: model.Bert/layer.0: …`.
_NAMESPACE = "namespace"


def scope_of(node: NodeProto) -> tuple[str, ...]:
    """The scopes around a node, outermost first: `/layer1/layer1.0/conv1/Conv` is in layer1, layer1.0, conv1."""
    if "/" in node.name:
        return tuple(part for part in node.name.split("/")[:-1] if part)
    for entry in node.metadata_props:
        if entry.key == _NAMESPACE:
            parts = (part.split(":")[0].strip() for part in entry.value.split("/")[:-1])
            return _relative([part for part in parts if part])
    if node.name.count(".") > 1:
        return tuple(part for part in node.name.split(".")[:-1] if part)
    return ()


def _relative(paths: list[str]) -> tuple[str, ...]:
    """Dynamo repeats the whole path at each level (`m.vit`, `m.vit.encoder`): here each has its own part of it."""
    above = ["", *paths[:-1]]
    return tuple(path.removeprefix(f"{before}.") for before, path in zip(above, paths, strict=True))


def check_kept(graph: Graph, op_types: Iterable[str], scopes: Iterable[str]) -> None:
    """Raises Fault for an operator or a scope, given by its path or a part of it, that no node of the graph has."""
    there = {record.op_type for record in graph.nodes.values()}
    for one in op_types:
        if one not in there:
            raise Fault(f"The model has no {one} node", one, f"It has {', '.join(sorted(there)[:20])}")
    wanted = list(scopes)
    paths = {f"/{'/'.join(scope_of(record))}/" for record in graph.nodes.values()} if wanted else set()
    for one in wanted:
        if not any(f"/{one.strip('/')}/" in path for path in paths):
            raise Fault("The model has no such scope", one, "The outline shows them; such as encoder/layer.0")


@dataclass(slots=True)
class Scope:
    """One scope: its path, the nodes directly in it, and the scopes below, all in the order of the file."""

    path: tuple[str, ...]
    nodes: list[NodeId] = field(default_factory=list)
    children: dict[str, Scope] = field(default_factory=dict)
    count: int = 0

    @property
    def name(self) -> str:
        return self.path[-1] if self.path else ""

    def walk(self) -> Iterator[NodeId]:
        """All nodes in it and below."""
        yield from self.nodes
        for child in self.children.values():
            yield from child.walk()


def scope_tree(graph: Graph) -> Scope:
    """The root scope of a graph."""
    root = Scope(())
    for node, record in graph.nodes.items():
        at = root
        at.count += 1
        for part in scope_of(record):
            if part not in at.children:
                at.children[part] = Scope((*at.path, part))
            at = at.children[part]
            at.count += 1
        at.nodes.append(node)
    return root
