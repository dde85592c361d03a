"""Whether the two halves of a model, run one after the other, compute what the whole does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from graftwerk.backend.engines.feeds import Array, Feeds, Input, feeds
from graftwerk.backend.engines.onnxruntime import run_model
from graftwerk.backend.engines.report import OutputDifference
from graftwerk.backend.engines.verify import difference
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.types import TensorType

#: How far the outputs may be apart. The same kernels compute them, but ONNX Runtime may lay tensors out otherwise.
RELATIVE, ABSOLUTE = 1e-5, 1e-6
_HALVINGS = 8


@dataclass(frozen=True)
class PipelineCheck:
    """The outputs of the whole against those of the two parts, on seeded random inputs."""

    outputs: tuple[OutputDifference, ...]
    inputs: dict[str, str]

    @property
    def same(self) -> bool:
        return all(one.same for one in self.outputs)


def check_pipeline(graph: Graph, whole: Path, first: Path, second: Path, seed: int = 0) -> PipelineCheck:
    """Runs the three files in ONNX Runtime; `graph` is the whole. Raises Fault where one can't run."""
    given, expected = _run(graph, whole, seed)
    known = dict(given.arrays)
    made = run_model(first, {name: known[name] for name in _names(first) if name in known})
    known.update(made)
    made.update(run_model(second, {name: known[name] for name in _names(second) if name in known}))
    pairs = [(name, expected[name], made[name]) for name in expected]
    return PipelineCheck(tuple(difference(*pair, RELATIVE, ABSOLUTE) for pair in pairs), given.words)


def _run(graph: Graph, whole: Path, seed: int) -> tuple[Feeds, dict[str, Array]]:
    """What the whole computes of random inputs. Free dimensions are halved until the model takes them: positions may
    be looked up in a table that is short."""
    for halvings in range(_HALVINGS):
        given = feeds(_inputs(graph), (), {}, seed, halvings)
        try:
            return given, run_model(whole, given.arrays)
        except Fault:
            if not given.assumed or halvings + 1 == _HALVINGS:
                raise
    raise AssertionError("unreachable")


def _inputs(graph: Graph) -> list[Input]:
    found = []
    for info in graph.inputs:
        if info.name not in graph.initializers:
            kind = TensorType.of(info.type)
            found.append(Input(info.name, onnx.helper.tensor_dtype_to_np_dtype(kind.dtype), kind.shape))
    return found


def _names(path: Path) -> list[str]:
    model = onnx.load(path, load_external_data=False)
    return [info.name for info in model.graph.input]
