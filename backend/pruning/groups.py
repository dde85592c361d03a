"""Which channels have to go together: the dependency groups of a graph.

A convolution or fully connected layer makes channels of its own. They run through what works channel by channel; a sum
makes two groups one, a Concat puts groups side by side, a depthwise convolution hands them on, and a grouped one wants
as many left in each of its blocks. Flatten makes several features of one channel. What isn't understood, and the
graph's outputs, hold the channels that reach them: those groups are `frozen`, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import lcm, prod

from onnx import NodeProto

from graftwerk.backend.graph.constants import View, constant, stored
from graftwerk.backend.graph.graph import Graph, NodeId, reads
from graftwerk.backend.graph.tensors import Initializer

_EACH = frozenset({
    "Relu", "LeakyRelu", "Sigmoid", "Tanh", "Clip", "Elu", "Selu", "HardSwish", "HardSigmoid", "Mish", "Softplus",
    "Gelu", "Abs", "Neg", "Exp", "Sqrt", "Identity", "Dropout", "Cast", "Celu", "ThresholdedRelu", "Softsign", "Erf",
})  # fmt: skip
_POOLS = frozenset({"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"})
_BOTH = frozenset({"Add", "Sub", "Mul", "Div", "Sum", "Max", "Min", "Pow", "PRelu"})


@dataclass
class Use:
    """A part of a weight that belongs to a group: channel c is `repeat` entries of `axis` from `start + c * repeat`.
    `node` reads it, perhaps beside others: it gets a weight of its own then."""

    node: NodeId
    weight: str
    axis: int
    start: int
    repeat: int = 1
    #: Of a grouped convolution whose inputs these are: the weight's axis counts within a block.
    blocks: int = 1


@dataclass
class Group:
    """Channels that are pruned together. `makers` are the layers that make them, `norms` the scales of batch
    normalizations on them, `blocks` says in how many equal parts as many have to be left."""

    size: int
    makers: list[NodeId] = field(default_factory=list)
    norms: list[Use] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    made: list[Use] = field(default_factory=list)
    depthwise: list[NodeId] = field(default_factory=list)
    blocks: int = 1
    frozen: str = ""


def weight_behind(view: View, tensor: str) -> Initializer | None:
    """The weight that a tensor is, behind Identity nodes too: exporters store equal weights once. None where it is
    computed, is an input of the model, or has no values."""
    made = view.producer(tensor)
    while made is not None and view.nodes[made].op_type == "Identity" and not view.is_output(tensor):
        tensor = view.nodes[made].input[0]
        made = view.producer(tensor)
    weight = stored(view, tensor)
    return weight if weight is not None and not weight.missing and weight.stripped is None else None


Segment = tuple[int, int]  # group, entries per channel


@dataclass
class Channels:
    """What runs along the channel axis of a tensor."""

    axis: int
    segments: list[Segment]


class Finder:
    """One pass over a graph with known shapes."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._groups: list[Group] = []
        self._parent: list[int] = []
        self._of: dict[str, Channels] = {}

    def groups(self) -> list[Group]:
        """All groups that some layer makes, in the order of the nodes."""
        for node, record in self.graph.nodes.items():
            self._visit(node, record)
        for info in self.graph.outputs:
            self._freeze(info.name, f"{info.name} is an output of the model")
        roots = dict.fromkeys(self._root(number) for number in range(len(self._groups)))
        return [self._groups[root] for root in roots if self._groups[root].makers]

    # Union of groups

    def _root(self, group: int) -> int:
        while self._parent[group] != group:
            group = self._parent[group]
        return group

    def _new(self, size: int) -> int:
        self._groups.append(Group(size))
        self._parent.append(len(self._parent))
        return len(self._parent) - 1

    def _join(self, one: int, other: int) -> None:
        a, b = sorted((self._root(one), self._root(other)))
        if a == b:
            return
        self._parent[b] = a
        first, second = self._groups[a], self._groups[b]
        for name in ("makers", "norms", "uses", "made", "depthwise"):
            getattr(first, name).extend(getattr(second, name))
        first.blocks = lcm(first.blocks, second.blocks)
        first.frozen = first.frozen or second.frozen

    def _group(self, segment: Segment) -> Group:
        return self._groups[self._root(segment[0])]

    def _freeze(self, tensor: str, why: str) -> None:
        for segment in self._of[tensor].segments if tensor in self._of else ():
            group = self._group(segment)
            group.frozen = group.frozen or why

    # Nodes

    def _visit(self, node: NodeId, record: NodeProto) -> None:
        there = [name for name in reads(record) if name in self._of]
        standard = record.domain in ("", "ai.onnx")
        done = False
        if standard and record.op_type == "Conv":
            done = self._conv(node, record)
        elif standard and record.op_type in ("Gemm", "MatMul"):
            done = self._product(node, record)
        elif standard and there:
            done = self._through(record)
        if not done:
            for name in there:
                self._freeze(name, f"{self.graph.ref(node)} ({record.op_type}) holds the channels of {name}")

    def _shape(self, tensor: str) -> tuple[object, ...] | None:
        known = self.graph.type_of(tensor)
        return known.shape if known is not None else None

    def _dims(self, name: str) -> tuple[int, ...] | None:
        """The dimensions of a weight; None for what is none."""
        weight = None if self.graph.is_input(name) or self.graph.is_output(name) else weight_behind(self.graph, name)
        return weight.dims if weight is not None else None

    def _conv(self, node: NodeId, record: NodeProto) -> bool:
        name, bias = record.input[1], record.input[2] if len(record.input) > 2 else ""
        dims = self._dims(name)
        if dims is None or (bias and self._dims(bias) is None):
            return False
        blocks = next((int(a.i) for a in record.attribute if a.name == "group"), 1)
        source = self._of.get(record.input[0])
        if source is not None and (source.axis != 1 or any(repeat != 1 for _, repeat in source.segments)):
            return False
        if blocks > 1 and dims[1] == 1 and dims[0] == blocks:
            return self._depthwise(node, record, source, name, bias)
        if blocks > 1 and source is not None and len(source.segments) > 1:
            return False
        start = 0
        for segment in source.segments if source is not None else ():
            group = self._group(segment)
            group.uses.append(Use(node, name, 1, start, 1, blocks))
            group.blocks = lcm(group.blocks, blocks)
            start += group.size
        self._make(node, record.output[0], dims[0], 1, name, 0, bias, blocks)
        return True

    def _make(
        self, node: NodeId, output: str, size: int, axis: int, weight: str, out: int, bias: str, blocks: int = 1
    ) -> None:
        number = self._new(size)
        group = self._groups[number]
        group.makers.append(node)
        group.blocks = blocks
        group.made.append(Use(node, weight, out, 0))
        if bias:
            group.uses.append(Use(node, bias, len(self._dims(bias) or ()) - 1, 0))
        self._of[output] = Channels(axis, [(number, 1)])

    def _depthwise(
        self, node: NodeId, record: NodeProto, source: Channels | None, weight: str, bias: str
    ) -> bool:
        if source is None:
            return True  # the channels of an input of the model stay
        start = 0
        for segment in source.segments:
            group = self._group(segment)
            group.uses.append(Use(node, weight, 0, start))
            if bias:
                group.uses.append(Use(node, bias, 0, start))
            group.depthwise.append(node)
            start += group.size
        self._of[record.output[0]] = Channels(1, list(source.segments))
        return True

    def _product(self, node: NodeId, record: NodeProto) -> bool:
        data, name = record.input[0], record.input[1]
        bias = record.input[2] if record.op_type == "Gemm" and len(record.input) > 2 else ""
        flags = {a.name: a.i for a in record.attribute}
        shape = self._shape(data)
        dims = self._dims(name)
        if dims is None or len(dims) != 2 or shape is None or flags.get("transA"):
            return False
        out, inside = (0, 1) if flags.get("transB") else (1, 0)
        if bias and (self._dims(bias) or ())[-1:] != (dims[out],):
            return False
        source = self._of.get(data)
        if source is not None:
            if source.axis != len(shape) - 1:
                return False
            start = 0
            for segment in source.segments:
                group = self._group(segment)
                group.uses.append(Use(node, name, inside, start, segment[1]))
                start += group.size * segment[1]
        self._make(node, record.output[0], dims[out], len(shape) - 1, name, out, bias)
        return True

    def _through(self, record: NodeProto) -> bool:
        source = self._of.get(record.input[0])
        pools = record.op_type in _POOLS and source is not None and source.axis == 1 and not any(record.output[1:])
        if source is not None and (pools or record.op_type in _EACH or self._resizes(record, source)):
            self._of[record.output[0]] = source
            return True
        if record.op_type == "BatchNormalization" and source is not None:
            return self._norm(record, source)
        if record.op_type in _BOTH:
            return self._both(record)
        if record.op_type == "Concat":
            return self._concat(record)
        if record.op_type in ("Flatten", "Reshape") and source is not None:
            return self._flatten(record, source)
        if record.op_type in ("ReduceMean", "ReduceMax", "ReduceSum") and source is not None:
            return self._reduce(record, source)
        return False

    def _resizes(self, record: NodeProto, source: Channels) -> bool:
        """Whether it is a Resize or Pad that leaves the channels alone."""
        values = None
        if record.op_type == "Resize" and len(record.input) == 3 and record.input[2]:
            values = constant(self.graph, record.input[2])
            return values is not None and values.size > source.axis and values.reshape(-1)[source.axis] == 1
        if record.op_type == "Pad" and len(record.input) in (2, 3):
            values = constant(self.graph, record.input[1])
            there = [] if values is None else values.reshape(-1).tolist()
            rank = len(there) // 2
            return bool(there) and there[source.axis] == there[rank + source.axis] == 0
        return False

    def _norm(self, record: NodeProto, source: Channels) -> bool:
        node = self.graph.producers[record.output[0]]
        names = list(record.input[1:5])
        if source.axis != 1 or any(self._dims(name) is None for name in names):
            return False
        start = 0
        for segment in source.segments:
            group = self._group(segment)
            group.uses += [Use(node, name, 0, start, segment[1]) for name in dict.fromkeys(names)]
            if segment[1] == 1:
                group.norms.append(Use(node, names[0], 0, start))
            start += group.size * segment[1]
        self._of[record.output[0]] = source
        return True

    def _both(self, record: NodeProto) -> bool:
        sources = [(name, self._of[name]) for name in record.input if name in self._of]
        shape = self._shape(record.output[0])
        if shape is None or not sources:
            return False
        places = {channels.axis - len(self._shape(name) or ()) for name, channels in sources}
        if len(places) != 1:
            return False
        place = places.pop()
        first = sources[0][1]
        size = sum(self._group(segment).size * segment[1] for segment in first.segments)
        node = self.graph.producers[record.output[0]]
        constants = []
        for name in record.input:
            if name in self._of:
                continue
            dims = self._shape(name)
            if dims is None:
                return False
            along = dims[place] if len(dims) >= -place else 1
            if along == 1:
                continue
            if along != size or self._dims(name) is None:
                return False
            constants.append((name, len(dims) + place))
        if not all(self._alike(first, channels) for _, channels in sources[1:]):
            return False
        for _, channels in sources[1:]:
            for one, other in zip(first.segments, channels.segments, strict=True):
                self._join(one[0], other[0])
        for name, axis in constants:
            start = 0
            for segment in first.segments:
                self._group(segment).uses.append(Use(node, name, axis, start, segment[1]))
                start += self._group(segment).size * segment[1]
        self._of[record.output[0]] = Channels(len(shape) + place, first.segments)
        return True

    def _alike(self, one: Channels, other: Channels) -> bool:
        sizes = [[(self._group(segment).size, segment[1]) for segment in each.segments] for each in (one, other)]
        return sizes[0] == sizes[1]

    def _concat(self, record: NodeProto) -> bool:
        axis = next((int(a.i) for a in record.attribute if a.name == "axis"), 0)
        shape = self._shape(record.output[0])
        if shape is None:
            return False
        axis %= len(shape)
        segments: list[Segment] = []
        for name in record.input:
            source = self._of.get(name)
            if source is None:
                dims = self._shape(name)
                if dims is None or not isinstance(dims[axis], int):
                    return False
                number = self._new(int(str(dims[axis])))  # channels that nobody here makes: they stay
                self._groups[number].frozen = f"{name} comes from outside"
                source = Channels(axis, [(number, 1)])
            if source.axis != axis:
                return False
            segments += source.segments
        self._of[record.output[0]] = Channels(axis, segments)
        return True

    def _flatten(self, record: NodeProto, source: Channels) -> bool:
        """N×C×H×W to N×(C·H·W): a channel is H·W features."""
        before, after = self._shape(record.input[0]), self._shape(record.output[0])
        if before is None or after is None or len(after) != 2 or source.axis != 1 or len(before) < 2:
            return False
        if record.op_type == "Reshape":
            wanted = constant(self.graph, record.input[1])
            if wanted is None or wanted.reshape(-1).tolist()[1:] != [-1]:
                return False
        elif next((int(a.i) for a in record.attribute if a.name == "axis"), 1) != 1:
            return False
        rest = before[2:]
        if not all(isinstance(size, int) for size in rest):
            return False
        each = prod(int(str(size)) for size in rest)
        self._of[record.output[0]] = Channels(1, [(group, repeat * each) for group, repeat in source.segments])
        return True

    def _reduce(self, record: NodeProto, source: Channels) -> bool:
        shape = self._shape(record.input[0])
        axes = next((list(a.ints) for a in record.attribute if a.name == "axes"), None)
        if axes is None and len(record.input) > 1 and record.input[1]:
            values = constant(self.graph, record.input[1])
            axes = None if values is None else [int(each) for each in values.reshape(-1)]
        if shape is None or not axes:
            return False
        gone = {axis % len(shape) for axis in axes}
        keep = next((bool(a.i) for a in record.attribute if a.name == "keepdims"), True)
        if source.axis in gone:
            return False
        axis = source.axis if keep else source.axis - sum(each < source.axis for each in gone)
        self._of[record.output[0]] = Channels(axis, source.segments)
        return True


def find_groups(graph: Graph) -> list[Group]:
    """The dependency groups of a graph with known types; nothing of a weight is read."""
    return Finder(graph).groups()
