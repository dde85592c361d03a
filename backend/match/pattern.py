"""A pattern: a few nodes and how they hang together, to be found in graphs. Written as text, a line for a node:

    s = Sigmoid(x)                        x comes from outside: any tensor; the same name is the same tensor
    y = Mul(x, s)                         inputs of commutative operators match in any order
    t = Transpose(x) {perm=[0, 2, 1, 3]}  attributes that are given must be equal, the others may be anything
    a = Add|Sub(x, #c)                    one of several operators; #c is a constant of any value, called c
    b = Pow(a, #2)                        a constant of this value; #e=1e-5 has a name as well
    b = Add(a, #c:scalar)                 a constant of one element
    ?d = Cast(b)                          a node that may be missing: what it reads is taken then
    r = Resize(d, _, ...)                 _ is an input that is left out, ... any inputs that follow
    z = com.microsoft::Gelu|*(r)          operators of other domains; * is any operator
    -> y, z                               what may be read outside; else all that no node of the pattern reads
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, combinations
from typing import Any

from graftwerk.backend.fault import Fault

#: Operators whose inputs mean the same in any order.
COMMUTATIVE = frozenset(
    ("Add", "Mul", "And", "Or", "Xor", "Equal", "Max", "Min", "Sum", "Mean", "BitwiseAnd", "BitwiseOr", "BitwiseXor")
)
ABSENT, REST = "_", "..."
#: Optional nodes that a pattern may have: each doubles the number of forms that are looked for.
_MOST_OPTIONAL = 6
_LINE = re.compile(r"(\?)?\s*(\w+(?:\s*,\s*\w+)*)\s*=\s*([\w.:|*]+)\s*\(([^()]*)\)\s*(\{.*\})?\s*", re.DOTALL)
_CONSTANT = re.compile(r"#([A-Za-z_]\w*)?(:\s*scalar)?\s*=?(.*)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z]\w*")


@dataclass(frozen=True, slots=True)
class Constant:
    """An input that must be constant: of a value (a number, or a list in the tensor's order), or of any (None).

    `scalar`: it has one element.
    """

    name: str
    value: Any = None
    scalar: bool = False

    def __str__(self) -> str:
        value = "" if self.value is None else json.dumps(self.value)
        shown = "" if self.name.startswith("_") else self.name
        kind = ":scalar" if self.scalar else ""
        return f"#{shown}{kind}{'=' if (shown or kind) and value else ''}{value}"


Input = str | Constant


@dataclass(frozen=True, slots=True)
class PatternNode:
    """One node. `inputs` are names of values, constants, `_` (left out) and at the end perhaps `...` (any more)."""

    ops: tuple[str, ...]
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    optional: bool = False

    @property
    def commutative(self) -> bool:
        return all(op in COMMUTATIVE for op in self.ops)

    def __str__(self) -> str:
        head = f"{'?' if self.optional else ''}{', '.join(self.outputs)} = {'|'.join(self.ops)}"
        attributes = ", ".join(f"{name}={json.dumps(value)}" for name, value in self.attributes.items())
        return f"{head}({', '.join(map(str, self.inputs))})" + (f" {{{attributes}}}" if attributes else "")


@dataclass(frozen=True, slots=True)
class Pattern:
    """Nodes in an order in which they could be computed, and what of them may be read outside."""

    nodes: tuple[PatternNode, ...]
    outputs: tuple[str, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """What comes from outside, in the order in which it is read."""
        made = {name for node in self.nodes for name in node.outputs}
        read = (one for node in self.nodes for one in node.inputs if isinstance(one, str))
        return tuple(dict.fromkeys(name for name in read if name not in made and name not in (ABSENT, REST)))

    @property
    def constants(self) -> tuple[Constant, ...]:
        return tuple(one for node in self.nodes for one in node.inputs if isinstance(one, Constant))

    def __str__(self) -> str:
        return "\n".join([*map(str, self.nodes), f"-> {', '.join(self.outputs)}"])

    def forms(self) -> Iterator[Pattern]:
        """The pattern with its optional nodes there or not, the largest form first."""
        optional = [at for at, node in enumerate(self.nodes) if node.optional]
        for missing in chain.from_iterable(combinations(optional, count) for count in range(len(optional) + 1)):
            taken: dict[str, Input] = {}
            nodes = []
            for at, node in enumerate(self.nodes):
                inputs = tuple(taken.get(one, one) if isinstance(one, str) else one for one in node.inputs)
                if at in missing:
                    taken[node.outputs[0]] = inputs[0]
                else:
                    nodes.append(replace(node, inputs=inputs, optional=False))
            outputs = [taken.get(name, name) for name in self.outputs]
            yield Pattern(tuple(nodes), tuple(name for name in outputs if isinstance(name, str)))


def parse(text: str) -> Pattern:
    """Raises Fault that names the line where the text is no pattern."""
    nodes: list[PatternNode] = []
    outputs: tuple[str, ...] = ()
    for number, line in enumerate(text.strip().splitlines(), 1):
        line = line.partition("//")[0].strip()
        if line.startswith("->"):
            outputs = tuple(name.strip() for name in line[2:].split(",") if name.strip())
        elif line:
            nodes.append(_node(line, number))
    _check(nodes, outputs)
    made = [name for node in nodes for name in node.outputs]
    read = {one for node in nodes for one in node.inputs if isinstance(one, str)}
    return Pattern(tuple(nodes), outputs or tuple(name for name in made if name not in read))


def _node(line: str, number: int) -> PatternNode:
    found = _LINE.fullmatch(line)
    if found is None:
        raise Fault(f"{line!r} is no node", f"line {number}", "Such as y = Mul(x, #0.5) or y = Softmax(x) {axis=-1}")
    outputs = tuple(name.strip() for name in found[2].split(","))
    inputs = tuple(_input(text.strip(), number, at) for at, text in enumerate(_arguments(found[4])))
    if any(one == REST for one in inputs[:-1]):
        raise Fault("... stands at the end of the inputs", f"line {number}")
    optional = bool(found[1])
    if optional and (len(outputs) != 1 or not inputs or not isinstance(inputs[0], str) or inputs[0] == ABSENT):
        raise Fault("A node that may be missing has one output, and passes its first input on", f"line {number}")
    ops = tuple(op.strip().removeprefix("ai.onnx::") for op in found[3].split("|"))
    return PatternNode(ops, inputs, outputs, _attributes(found[5], number), optional)


def _arguments(text: str) -> list[str]:
    """Splits at commas that are not inside brackets."""
    return re.split(r",(?![^\[]*\])", text) if text.strip() else []


def _input(text: str, line: int, at: int) -> Input:
    if text in (ABSENT, REST) or _NAME.fullmatch(text):
        return text
    found = _CONSTANT.fullmatch(text)
    if found is None:
        raise Fault(f"{text!r} is no input", f"line {line}", "A name, #c, #0.5, _ or ...")
    try:
        value = json.loads(found[3]) if found[3] else None
    except ValueError:
        hint = "A number, or a list: #[0, -1]"
        raise Fault(f"{found[3]!r} is no value of a constant", f"line {line}", hint) from None
    return Constant(found[1] or f"_{line}_{at}", value, bool(found[2]))


def _attributes(text: str | None, line: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    rest = (text or "{}").strip()[1:-1].strip()
    decoder = json.JSONDecoder()
    while rest:
        name, equals, value = rest.partition("=")
        try:
            found[name.strip()], end = decoder.raw_decode(value.lstrip())
        except ValueError:
            end, equals = 0, ""
        if not equals or not name.strip().isidentifier():
            raise Fault(f"{rest!r} is no attribute", f"line {line}", 'Such as {axis=-1, mode="linear"}')
        rest = value.lstrip()[end:].lstrip().removeprefix(",").strip()
    return found


def _check(nodes: list[PatternNode], outputs: tuple[str, ...]) -> None:
    if not nodes:
        raise Fault("A pattern needs a node", "", "Such as y = Relu(x)")
    made: set[str] = set()
    later = {name for node in nodes for name in node.outputs}
    for number, node in enumerate(nodes, 1):
        for one in node.inputs:
            if isinstance(one, str) and one in later and one not in made:
                raise Fault(f"{one} is read before it is made", f"node {number}", "Put the nodes in order")
        for name in node.outputs:
            if name in made:
                raise Fault(f"{name} is made twice", f"node {number}")
            made.add(name)
    for name in outputs:
        if name not in made:
            raise Fault(f"No node makes {name}", "->")
    if sum(node.optional for node in nodes) > _MOST_OPTIONAL:
        raise Fault(f"More than {_MOST_OPTIONAL} nodes may be missing", "", "Save forms of the pattern by themselves")
