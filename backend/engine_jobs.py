"""From a revision to a job that compiles, times or verifies it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnx import TensorProto

from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.files import stage
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.types import TensorType

if TYPE_CHECKING:  # the window needs the settings at once, the jobs only when it starts one
    from graftwerk.backend.engines.onnxruntime import ProfileOnnxRuntime
    from graftwerk.backend.engines.tensorrt_rtx import BuildRtx, ParseRtx
    from graftwerk.backend.engines.verify import VerifyModel
    from graftwerk.backend.engines.verify_change import VerifyChange


@dataclass(frozen=True)
class BuildSettings:
    """What a build is asked; `engine` is the file it goes to, "" for the job's own folder. See `BuildRtx`."""

    targets: tuple[str, ...] = ("sm89",)
    engine: str = ""
    profiles: tuple[dict[str, Any], ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


def build_job(graph: Graph, folder: Path, settings: BuildSettings, report: str = "") -> BuildRtx:
    """Writes a revision into `folder`, plugin nodes as their original subgraph, and makes the job that compiles it."""
    from graftwerk.backend.engines.tensorrt_rtx import BuildRtx
    from graftwerk.backend.graph.standin import with_stand_ins

    runnable, stand_ins = with_stand_ins(_with_own_names(graph))
    return BuildRtx(
        model=str(stage(runnable, folder)),
        engine=settings.engine or "model.engine",
        targets=settings.targets,
        profiles=settings.profiles,
        options=settings.options,
        stand_ins=tuple(stand_ins),
        report=report,
    )


def parse_job(graph: Graph, folder: Path) -> ParseRtx:
    """Writes a revision into `folder`, plugin nodes as their original subgraph, and makes the job that parses it."""
    from graftwerk.backend.engines.tensorrt_rtx import ParseRtx
    from graftwerk.backend.graph.standin import with_stand_ins

    runnable, _ = with_stand_ins(_with_own_names(graph))
    return ParseRtx(str(stage(runnable, folder)))


def profile_job(graph: Graph, folder: Path, **settings: Any) -> ProfileOnnxRuntime:
    """Writes a revision into `folder`, plugin nodes as their original subgraph, and makes the job that times it."""
    from graftwerk.backend.engines.onnxruntime import ProfileOnnxRuntime
    from graftwerk.backend.graph.standin import with_stand_ins

    runnable, stand_ins = with_stand_ins(graph)
    return ProfileOnnxRuntime(str(stage(runnable, folder)), stand_ins=tuple(stand_ins), **settings)


def verify_job(reference: Graph, graph: Graph, folder: Path, **settings: Any) -> VerifyModel:
    """Writes two revisions, plugin nodes as their original subgraph, and makes the job that compares them."""
    from graftwerk.backend.engines.verify import VerifyModel
    from graftwerk.backend.graph.standin import with_stand_ins

    second, stand_ins = with_stand_ins(graph)
    first = _of_sizes(with_stand_ins(reference)[0], second)
    one, other = stage(first, folder / "reference"), stage(second, folder / "model")
    return VerifyModel(str(one), str(other), stand_ins=tuple(stand_ins), **settings)


def change_job(before: Graph, after: Graph, folder: Path, **settings: Any) -> VerifyChange:
    """Writes the revisions before and after an edit, plugin nodes as their original subgraph, and makes the job that
    says whether they compute the same.

    ONNX Runtime on a CPU computes FP16 in FP32 and lacks kernels for BF16. So where the edit made tensors FP16 or BF16,
    what is run is a copy in which each of them is rounded, with the tolerance of such a rounding.
    """
    from graftwerk.backend.engines.verify_change import VerifyChange
    from graftwerk.backend.graph.standin import with_stand_ins
    from graftwerk.backend.validate import new_errors

    second, stand_ins = with_stand_ins(after)
    first = _of_sizes(with_stand_ins(before)[0], second)
    if _retyped(before, after):
        from graftwerk.backend.graph.shapes import infer
        from graftwerk.backend.precision.rounded import rounded

        copy = rounded(second.with_types(infer(after)))
        second, note = copy.graph, f"{len(copy.names)} tensors rounded"
        coarse = any(kind.dtype == TensorProto.BFLOAT16 for kind in after.types.values())
        tolerance = _BF16_TOLERANCE if coarse else _FP16_TOLERANCE
        settings = {"relative": tolerance, "absolute": tolerance, "note": note, **settings}
    one, other = stage(first, folder / "reference"), stage(second, folder / "model")
    wrong = next(iter(new_errors(before, after)), None)
    invalid = f"the model is not valid: {wrong.where}: {wrong.message}" if wrong is not None else ""
    return VerifyChange(str(one), str(other), stand_ins=tuple(stand_ins), invalid=invalid,
                        permuted=_permuted(first, second), **settings)  # fmt: skip


def _of_sizes(graph: Graph, other: Graph) -> Graph:
    """The graph with those open dimensions of its inputs fixed that another graph has fixed: both can be run on the
    same inputs then."""
    theirs = {info.name: TensorType.of(info.type).shape for info in other.inputs}
    inputs = []
    for info in graph.inputs:
        mine, fixed = TensorType.of(info.type), theirs.get(info.name)
        if mine.shape is not None and fixed is not None and len(mine.shape) == len(fixed):
            sizes = zip(mine.shape, fixed, strict=True)
            shape = tuple(new if isinstance(new, int) and not isinstance(old, int) else old for old, new in sizes)
            if shape != mine.shape:
                info = replace(mine, shape=shape).value_info(info.name)
        inputs.append(info)
    if inputs == list(graph.inputs):
        return graph
    edit = Edit(graph)
    edit.set_inputs(inputs)
    return edit.commit()


def _permuted(before: Graph, after: Graph) -> dict[str, tuple[int, ...]]:
    """The inputs and outputs whose channels an edit put first or last, with the permutation from before to after."""
    found = {}
    theirs = {info.name: TensorType.of(info.type) for info in (*after.inputs, *after.outputs)}
    for info in (*before.inputs, *before.outputs):
        old, new = TensorType.of(info.type), theirs.get(info.name)
        if new is None or old.shape is None or new.shape is None or old.shape == new.shape or old.dtype != new.dtype:
            continue
        rank = len(old.shape)
        for order in ((0, *range(2, rank), 1), (0, rank - 1, *range(1, rank - 1))) if rank > 2 else ():
            if tuple(old.shape[axis] for axis in order) == new.shape:
                found[info.name] = order
    return found


#: About 20 units in the last place of 1, with 11 and 8 bits: roundings add up from layer to layer.
_FP16_TOLERANCE, _BF16_TOLERANCE = 0.01, 0.08


def _retyped(before: Graph, after: Graph) -> bool:
    """Whether a tensor is FP16 or BF16 that was none, or there are such tensors for the first time."""
    small = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
    now = {name for name, kind in after.types.items() if kind.dtype in small}
    then = {name for name, kind in before.types.items() if kind.dtype in small}
    return bool(now) and (not then or any(name in before.types for name in now - then))


def _with_own_names(graph: Graph) -> Graph:
    """Nodes that share a name are called by their references, or the compiler's log could not tell them apart."""
    edit = Edit(graph)
    for owners in graph.names.values():
        if len(owners) > 1:
            for node in owners:
                edit.replace_node(node, name=graph.ref(node))
    return edit.commit()
