"""What a matcher asks of a graph's nodes, looked up once: operators, ports, attributes and defaults, constants."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.attributes import json_value
from graftwerk.backend.graph.constants import is_constant_node, stored
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.graph.schema import schema_of

#: Constants with more elements are weights: their values are not compared.
_MOST = 64
#: Relative difference of numbers that are still the same: 0.7071 and sqrt(0.5), as exporters round them.
_TOLERANCE = 1e-3


class Facts:
    """Reads one graph. Attributes that a node lacks have the default of its operator's schema."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._ports: dict[NodeId, tuple[str, tuple[str, ...], tuple[str, ...]]] = {}
        self._attributes: dict[NodeId, dict[str, Any]] = {}
        self._defaults: dict[str, dict[str, Any]] = {}
        self._constants: dict[str, Any] = {}

    @cached_property
    def by_op(self) -> dict[str, list[NodeId]]:
        found: dict[str, list[NodeId]] = {}
        for node in self.graph.nodes:
            found.setdefault(self.op(node), []).append(node)
        return found

    def count(self, ops: tuple[str, ...]) -> int:
        return len(self.graph.nodes) if "*" in ops else sum(len(self.by_op.get(op, ())) for op in ops)

    def of(self, ops: tuple[str, ...]) -> list[NodeId]:
        """The nodes of some operators, in the graph's order for each; Constants are no nodes of a pattern."""
        if "*" in ops:
            return [node for node in self.graph.nodes if self.op(node) != "Constant"]
        return [node for op in dict.fromkeys(ops) for node in self.by_op.get(op, ())]

    def op(self, node: NodeId) -> str:
        return self._port(node)[0]

    def inputs(self, node: NodeId) -> tuple[str, ...]:
        """Without those at the end that are left out."""
        return self._port(node)[1]

    def outputs(self, node: NodeId) -> tuple[str, ...]:
        return self._port(node)[2]

    def _port(self, node: NodeId) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        known = self._ports.get(node)
        if known is None:
            record = self.graph.nodes[node]
            inputs = list(record.input)
            while inputs and not inputs[-1]:
                inputs.pop()
            standard = record.domain in ("", "ai.onnx")
            op = record.op_type if standard else f"{record.domain}::{record.op_type}"
            known = self._ports[node] = (op, tuple(inputs), tuple(record.output))
        return known

    def attribute(self, node: NodeId, name: str) -> Any:
        """An attribute as JSON value; None where neither node nor schema has one."""
        values = self._attributes.get(node)
        if values is None:
            record = self.graph.nodes[node]
            values = self._attributes[node] = {one.name: json_value(one) for one in record.attribute}
        return values[name] if name in values else self._default(node, name)

    def _default(self, node: NodeId, name: str) -> Any:
        op = self.op(node)
        if op not in self._defaults:
            record = self.graph.nodes[node]
            schema = schema_of(self.graph, record.op_type, record.domain)
            rules = schema.attributes if schema is not None else {}
            self._defaults[op] = {key: json_value(rule.default_value) for key, rule in rules.items()}
        return self._defaults[op].get(name)

    def is_constant(self, tensor: str) -> bool:
        """Whether it is a weight or made by a Constant, perhaps under other names: exporters share weights that way."""
        tensor = self._source(tensor)
        if tensor in self.graph.initializers:
            return True
        made = self.graph.producer(tensor)
        return made is not None and is_constant_node(self.graph.nodes[made])

    def _source(self, tensor: str) -> str:
        made = self.graph.producer(tensor)
        while made is not None and self.op(made) == "Identity" and self.inputs(made):
            tensor = self.inputs(made)[0]
            made = self.graph.producer(tensor)
        return tensor

    def constant(self, tensor: str) -> Any:
        """The value of a small constant: a number, or a list of them; a text that says so for a large one."""
        if tensor not in self._constants:
            weight = stored(self.graph, self._source(tensor))
            exact = self.exact(tensor)
            if exact is not None:
                self._constants[tensor] = _rounded(exact)
            elif weight is None or weight.size <= _MOST:
                self._constants[tensor] = "a tensor" if weight is None else "a value that can't be read"
            else:
                self._constants[tensor] = f"a tensor of {weight.size} values"
        return self._constants[tensor]

    def exact(self, tensor: str) -> Any:
        """The values of a small constant as they are: a number, or a list in the tensor's order; None of others."""
        weight = stored(self.graph, self._source(tensor))
        if weight is None or weight.size > _MOST:
            return None
        try:
            values = weight.array()
            found = (values.astype(np.float32) if values.dtype.kind == "V" else values).ravel().tolist()
        except (Fault, TypeError, ValueError):
            return None
        return found[0] if len(found) == 1 else found

    def size(self, tensor: str) -> int:
        """Elements of a constant."""
        weight = stored(self.graph, self._source(tensor))
        return 0 if weight is None else weight.size

    @staticmethod
    def equal(there: Any, wanted: Any) -> bool:
        """Whether two values are the same, numbers to a relative 1e-3; one number equals a list that holds it alone."""
        if there is None or isinstance(there, str) or isinstance(wanted, str):
            return bool(there == wanted)
        try:
            one, other = np.atleast_1d(np.asarray(there, float)), np.atleast_1d(np.asarray(wanted, float))
        except (TypeError, ValueError):
            return bool(there == wanted)
        return one.shape == other.shape and bool(np.allclose(one, other, rtol=_TOLERANCE, atol=0, equal_nan=True))


def _rounded(value: Any) -> Any:
    """float32 as people write it: 0.1 and not 0.10000000149."""
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return float(f"{value:.7g}") if isinstance(value, float) else value
