"""A pattern that asks for less: whatever the attributes, or whatever the values of constants."""

from __future__ import annotations

from dataclasses import replace

from graftwerk.backend.match.pattern import Constant, Pattern


def without_attributes(pattern: Pattern) -> Pattern:
    """The pattern with any attributes."""
    return replace(pattern, nodes=tuple(replace(node, attributes={}) for node in pattern.nodes))


def without_values(pattern: Pattern) -> Pattern:
    """The pattern with constants of any value; one of a single value stays a scalar."""
    nodes = []
    for node in pattern.nodes:
        inputs = tuple(_any_value(one) if isinstance(one, Constant) else one for one in node.inputs)
        nodes.append(replace(node, inputs=inputs))
    return replace(pattern, nodes=tuple(nodes))


def _any_value(constant: Constant) -> Constant:
    scalar = constant.scalar or isinstance(constant.value, int | float)
    return replace(constant, value=None, scalar=scalar)
