"""What every compiler and runtime reports, in one shape: layers, the ONNX nodes behind them, and times.

Plain dataclasses of JSON types, so that they cross a process border and a Python version as they are. Runs on
Python 3.9. Datatypes are spelled as in TensorRT's own reports: FP32, FP16, BF16, INT8, FP8, INT4, FP4, INT32, INT64,
UINT8, BOOL.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional


@dataclass(frozen=True)
class LayerTensor:
    """One input or output of an engine layer. `shape` holds -1 for a dimension known only at run time."""

    name: str
    dtype: str
    format: str = ""
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Layer:
    """One layer of a built engine.

    `precision` is the datatype that the layer's arithmetic reads (its data and weight inputs), "" where it does none.
    `constants` are the weights it reads, as it reads them.
    `onnx_nodes` are references (see `Graph.ref`) of the ONNX nodes that it came from, in the compiler's order.
    `milliseconds` is the median over iterations where the layer was timed, None where no device ran it.
    """

    name: str
    kind: str
    precision: str = ""
    inputs: tuple[LayerTensor, ...] = ()
    outputs: tuple[LayerTensor, ...] = ()
    tactic: str = ""
    onnx_nodes: tuple[str, ...] = ()
    milliseconds: Optional[float] = None
    constants: tuple[LayerTensor, ...] = ()


@dataclass(frozen=True)
class NodeOutcome:
    """What became of one ONNX node.

    `layer` is the name of its primary layer, the one that does its arithmetic, "" where it has none; `helpers` are
    the other layers that name it. `state` is "layer" (it runs in a layer), "folded" (computed at build time) or
    "free" (a view, an identity, a Q/DQ absorbed into a neighbour: it costs nothing of its own).
    """

    layer: str = ""
    precision: str = ""
    helpers: tuple[str, ...] = ()
    state: str = "layer"


@dataclass(frozen=True)
class Report:
    """What a compiler made of a model.

    `seconds` is the wall time from the parser's start to the engine in memory. `horizontal_fusions` names the layers
    that do several products or convolutions side by side (q, k and v in one GEMM), with these nodes. `stand_ins` are
    the plugin nodes that were compiled as their original subgraph.
    """

    backend: str
    version: str
    targets: tuple[str, ...]
    seconds: float
    engine_bytes: int
    layers: tuple[Layer, ...]
    nodes: dict[str, NodeOutcome]
    warnings: tuple[str, ...] = ()
    stand_ins: tuple[str, ...] = ()
    horizontal_fusions: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class OutputDifference:
    """One output of a model held against the same output of another.

    `largest` is max|a - b| and `scale` max|a| over the finite elements of the reference a; `sqnr_db` is
    10 log10(sum a² / sum (a - b)²), None where it is infinite or not defined. `same`: every element is within the
    tolerances, with NaN and infinities in the same places; `identical`: bit for bit. `elements`, and how many of them
    are NaN in the reference (`nans`) and in the other (`other_nans`), say how much there was to compare.
    """

    name: str
    shape: tuple[int, ...]
    largest: float
    scale: float
    sqnr_db: Optional[float]
    same: bool
    identical: bool
    elements: int = 0
    nans: int = 0
    other_nans: int = 0


@dataclass(frozen=True)
class Verification:
    """Two models run on the same inputs. `not_checked` says in words what was left out; `precision` how it ran."""

    backend: str
    version: str
    device: str
    precision: str
    relative: float
    absolute: float
    outputs: tuple[OutputDifference, ...]
    inputs: dict[str, str]
    not_checked: tuple[str, ...] = ()
    stand_ins: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether something was compared and all of it is within the tolerances."""
        return any(output.elements for output in self.outputs) and all(output.same for output in self.outputs)


@dataclass(frozen=True)
class NodeTime:
    """Times of one node or layer over the timed iterations, milliseconds each, in the order they ran."""

    name: str
    kind: str
    milliseconds: tuple[float, ...]
    start_milliseconds: tuple[float, ...] = ()
    onnx_nodes: tuple[str, ...] = ()
    dtype: str = ""


@dataclass(frozen=True)
class Profile:
    """A run of a model, layer by layer, and beside it the latency of the same model with no profiler attached.

    `latency_milliseconds` come from runs without profiling; the sum of the layers does not equal them. Where a runtime
    rewrites the graph, the layers may be timed in another form of it than the one that is fast: `layers_of` and
    `latency_of` say which form each was measured in, and `layers_latency_milliseconds` is the latency, no profiler
    attached, of the layers' form. `iterations` is how often the layers were timed. `not_run` are the nodes that cost
    nothing in a run: computed when the model was loaded, or needed by no output. `inputs` says what each input held.
    """

    backend: str
    version: str
    device: str
    iterations: int
    layers: tuple[NodeTime, ...]
    latency_milliseconds: tuple[float, ...]
    warnings: tuple[str, ...] = ()
    stand_ins: tuple[str, ...] = ()
    inputs: dict[str, str] = field(default_factory=dict)
    layers_of: str = ""
    latency_of: str = ""
    layers_latency_milliseconds: tuple[float, ...] = ()
    not_run: tuple[str, ...] = ()
