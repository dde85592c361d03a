"""Which kernels TensorRT 8.6 makes of a graph with Q/DQ pairs, foretold by its rules of fusion, with no compiler.

The rules are those of TensorRT's developer guide ("Processing of Q/DQ Networks", "Q/DQ Layer-Placement
Recommendations") as they were seen to hold in engines of ResNet-50 (TensorRT 8.6, H200): a convolution takes in the Add
and the activation behind it unless a pair stands between them; it writes INT8 if everything that reads it is quantized,
and so is what the Add reads, and otherwise a kernel of its own converts for those that are. Compilers may do better:
TensorRT-RTX 1.7 moves such pairs by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from graftwerk.backend.engines.report import Layer, LayerTensor
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.quantize.pairs import DEQUANTIZE, QUANTIZE, find_pairs
from graftwerk.backend.quantize.scales import COMPUTE, weight

#: Activations that a linear kernel takes in.
ACTIVATIONS = ("Relu", "Clip")
#: What launches nothing: another view of the same bytes.
_VIEWS = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Dropout", "Constant", "Shape", "Cast")
_POINTWISE = ("Add", "Sub", "Mul", "Div", "Relu", "Clip", "Sigmoid", "Tanh", "LeakyRelu", "HardSwish", "HardSigmoid")
CONVOLUTIONS = ("Conv", "ConvTranspose")
#: Input channels up to which a first convolution takes the MaxPool behind its activation in as well.
_FEW_CHANNELS = 4
_FLOATS = (1, 10, 11, 16)


def forecast(graph: Graph, unquantized: str = "FP16") -> tuple[Layer, ...]:
    """The kernels that are foretold, in the order of the graph. `unquantized` is the datatype of what has no pair."""
    return tuple(_Forecast(graph, unquantized).layers())


@dataclass
class _Kernel:
    kind: str
    nodes: list[NodeId]
    reads: list[str]
    output: str
    precision: str = ""
    in_float: bool = False  # an Add in it reads floats, and so it writes them


class _Forecast:
    def __init__(self, graph: Graph, unquantized: str) -> None:
        self.graph, self.float = graph, unquantized
        self.pairs = {pair.output: pair for pair in find_pairs(graph).values()}
        self.fused: set[NodeId] = set()
        #: Tensors that are INT8 because the compiler moved a pair before an activation down to them.
        self.small: set[str] = set()

    def layers(self) -> list[Layer]:
        found: list[Layer] = []
        for name in dict.fromkeys(info.name for info in self.graph.inputs):
            found += self._converted(name, "FP32")
        for node, record in self.graph.nodes.items():
            if node in self.fused or record.op_type in (QUANTIZE, DEQUANTIZE, *_VIEWS) or not self._computes(node):
                continue
            kernel = self._linear(node) if record.op_type in COMPUTE else self._other(node)
            self.fused.update(kernel.nodes)
            found += self._written(kernel)
        return found

    def _computes(self, node: NodeId) -> bool:
        """Whether it makes an activation: neither shapes nor what depends on weights alone."""
        record = self.graph.nodes[node]
        kind = self.graph.type_of(record.output[0])
        return kind is not None and kind.dtype in _FLOATS and bool(self._activations(record.input))

    def _activations(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if name and weight(self.graph, self._behind(name)) is None]

    def _behind(self, name: str) -> str:
        return self.pairs[name].source if name in self.pairs else name

    def _linear(self, node: NodeId) -> _Kernel:
        """A linear node with what it takes in behind it."""
        graph, record = self.graph, self.graph.nodes[node]
        quantized = all(record.input[at] in self.pairs for at in COMPUTE[record.op_type])
        kernel = _Kernel(
            "Convolution" if record.op_type in CONVOLUTIONS else "Gemm", [node], self._activations(record.input[:2]),
            record.output[0], "INT8" if quantized else self.float,
        )  # fmt: skip
        added = active = False
        while True:
            behind = self._next(kernel, active)
            if behind is None:
                return kernel
            op = graph.nodes[behind].op_type
            if op == "Add" and record.op_type in CONVOLUTIONS and not added and not active:
                other = [name for name in graph.nodes[behind].input if name != kernel.output]
                if len(other) != 1 or not self._activations(other):
                    return kernel
                kernel.reads += other
                kernel.in_float = other[0] not in self.pairs
                added = True
            elif op in ACTIVATIONS and not active:
                active = True
            elif op == "MaxPool" and active and quantized and not added and is_first(graph, kernel.nodes[-1]):
                kernel.nodes.append(behind)
                kernel.output = graph.nodes[behind].output[0]
                return kernel
            else:
                return kernel
            kernel.nodes.append(behind)
            kernel.output = graph.nodes[behind].output[0]

    def _next(self, kernel: _Kernel, active: bool) -> NodeId | None:
        """The one node that reads a kernel's output, where nothing stands between that keeps them apart."""
        users = self.graph.consumers(kernel.output)
        if len(users) != 1 or self.graph.is_output(kernel.output) or users[0] in self.fused:
            return None
        record = self.graph.nodes[users[0]]
        if record.op_type != QUANTIZE:
            return users[0]
        behind = self._pair_readers(kernel.output)
        if active or len(behind) != 1 or self.graph.nodes[behind[0]].op_type not in ACTIVATIONS:
            return None
        # A pair before an activation is moved behind it by the compiler, if all that the kernel reads is INT8.
        if not all(name in self.pairs for name in kernel.reads):
            return None
        self.small.add(self.graph.nodes[behind[0]].output[0])
        return behind[0]

    def _other(self, node: NodeId) -> _Kernel:
        record = self.graph.nodes[node]
        kernel = _Kernel("PointWise" if record.op_type in _POINTWISE else record.op_type, [node],
                         self._activations(record.input), record.output[0])  # fmt: skip
        while kernel.kind == "PointWise":
            users = self.graph.consumers(kernel.output)
            alone = len(users) == 1 and not self.graph.is_output(kernel.output) and users[0] not in self.fused
            if not alone or self.graph.nodes[users[0]].op_type not in _POINTWISE:
                break
            behind = self.graph.nodes[users[0]]
            kernel.nodes.append(users[0])
            kernel.reads += [name for name in self._activations(behind.input) if name != kernel.output]
            kernel.output = behind.output[0]
        return kernel

    def _written(self, kernel: _Kernel) -> list[Layer]:
        """The kernel, and a conversion where some of what reads it is quantized and some is not."""
        if kernel.kind == "MaxPool" and kernel.reads[0] in self.small:
            self.small.add(kernel.output)
        whole = self._all_quantized(kernel.output) and not kernel.in_float
        moved = kernel.output in self.small and not whole
        written = "INT8" if whole or moved else self.float
        quantized = self.pairs.keys() | (self.small if kernel.kind == "MaxPool" else set())
        inputs = tuple(self._tensor(self._behind(name), "INT8" if name in quantized else self.float)
                       for name in kernel.reads)  # fmt: skip
        outputs = (self._tensor(kernel.output, written),)
        refs = tuple(self.graph.ref(node) for node in kernel.nodes)
        name = " + ".join(refs)
        layer = Layer(name, kernel.kind, kernel.precision, inputs, outputs, onnx_nodes=refs)
        if moved:
            users = [self.graph.nodes[user].op_type for user in self.graph.consumers(kernel.output)]
            there, back = outputs[0], self._tensor(kernel.output, self.float)
            floats = set(users) - {QUANTIZE, "MaxPool"} or not users
            return [layer, Layer(f"Reformat {kernel.output}", "Reformat", "", (there,), (back,))] if floats else [layer]
        return [layer] if whole else [layer, *self._converted(kernel.output, self.float)]

    def _converted(self, tensor: str, dtype: str) -> list[Layer]:
        quantizers = [node for node in self.graph.consumers(tensor) if self.graph.nodes[node].op_type == QUANTIZE]
        if not quantizers or weight(self.graph, tensor) is not None:
            return []
        there, made = self._tensor(tensor, dtype), self._tensor(tensor, "INT8")
        return [Layer(f"Reformat {tensor}", "Reformat", "", (there,), (made,))]

    def _all_quantized(self, tensor: str) -> bool:
        users = self.graph.consumers(tensor)
        quantizers = [node for node in users if self.graph.nodes[node].op_type == QUANTIZE]
        return bool(users) and len(quantizers) == len(users) and not self.graph.is_output(tensor)

    def _pair_readers(self, tensor: str) -> list[NodeId]:
        found: list[NodeId] = []
        for quantizer in self.graph.consumers(tensor):
            for dequantizer in self.graph.consumers(self.graph.nodes[quantizer].output[0]):
                found += self.graph.consumers(self.graph.nodes[dequantizer].output[0])
        return found

    def _tensor(self, name: str, dtype: str) -> LayerTensor:
        kind = self.graph.type_of(name) or TensorType(1, ())
        return LayerTensor(name, dtype, "", tuple(s if isinstance(s, int) else 1 for s in kind.shape or ()))




def is_first(graph: Graph, activation: NodeId) -> bool:
    """Whether an activation is behind a convolution of few channels, an image's: that takes a MaxPool in as well."""
    made = graph.producer(graph.nodes[activation].input[0])
    if made is None or graph.nodes[made].op_type != "Conv":
        return False
    kind = graph.type_of(graph.nodes[made].input[1])
    channels = kind.shape[1] if kind is not None and kind.shape is not None and len(kind.shape) > 1 else None
    return isinstance(channels, int) and channels <= _FEW_CHANNELS
