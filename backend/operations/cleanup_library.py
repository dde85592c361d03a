"""Clean-up of a whole model by the libraries that others use for it: Polygraphy's sanitizing and onnxslim."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import onnx
from onnx import GraphProto, ModelProto, NodeProto

from graftwerk.backend.fault import Fault, Reason, Settled
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, bodies
from graftwerk.backend.graph.whole import Whole, adopt_whole, whole_model
from graftwerk.backend.operations.fold import left_unfolded
from graftwerk.backend.operations.registry import Operation, operation, param
from graftwerk.backend.quiet import quiet

_MIB = 1 << 20
#: Weights larger than this are held back where all of them together are larger than `_READ`.
_LARGE = _MIB
#: Of weights in memory at once, what libraries copy a few times over.
_READ = 512 * _MIB
_JOINT = "::"
_NOTHING = "It left the model as it is"


@operation("cleanup.sanitize", title="Sanitize with Polygraphy", menu="Clean up", preserves=True, slow=True)
@dataclass(frozen=True)
class Sanitize(Operation):
    """Fold constants and shapes, remove what nothing needs and sort, as `polygraphy surgeon sanitize` does.

    Results larger than *limit* MiB are not folded. Quantization of weights is kept. Of a model with more than 512 MiB
    of weights those over 1 MiB are not read, and what depends on their values alone is left.
    """

    fold: bool = param(True, label="Fold constants")
    limit: float = param(16.0, minimum=0.0, maximum=2048.0, label="Largest result, MiB")
    cleanup: bool = param(True, label="Remove what nothing needs")
    sort: bool = param(True, label="Sort topologically")

    def blocked(self, graph: Graph) -> Reason | None:
        if not (self.fold or self.cleanup or self.sort):
            return Reason("Nothing is asked for", "Choose at least one of its steps")
        return None

    def apply(self, edit: Edit) -> None:
        whole = whole_model(edit, _largest(edit), types=True)
        _disguise(whole.model.graph)
        with quiet(), _faults("Polygraphy"):
            changed = self._sanitized(whole.model)
        _adopt(edit, whole, changed, "Polygraphy")

    def remarks(self, before: Graph, after: Graph) -> tuple[str, ...]:
        left = left_unfolded(Edit(after), int(self.limit * _MIB)) if self.fold else []
        return (*_held_back(before), *left)

    def _sanitized(self, model: ModelProto) -> ModelProto:
        import onnx_graphsurgeon as gs
        from polygraphy.backend.onnx import fold_constants

        if self.fold:
            model = fold_constants(
                model, partitioning="recursive", error_ok=True, size_threshold=int(self.limit * _MIB),
                allow_onnxruntime_shape_inference=False,
            )  # fmt: skip
        surgeon = gs.import_onnx(model)
        if self.cleanup:
            surgeon.cleanup()
        if self.sort:
            surgeon.toposort()
        found: ModelProto = gs.export_onnx(surgeon, do_type_check=False)
        return found


@operation("cleanup.simplify", title="Simplify with onnxslim", menu="Clean up", preserves=True, slow=True)
@dataclass(frozen=True)
class Simplify(Operation):
    """Simplify the model with onnxslim: constant folding, dead nodes, fusions such as Conv+BN and MatMul+Add.

    Results larger than *limit* MiB are not folded. Of a model with more than 512 MiB of weights those over 1 MiB are
    not read, and fusions that need their values are left.
    """

    fold: bool = param(True, label="Fold constants")
    fuse: bool = param(True, label="Fuse patterns", help="Such as Conv+BN and MatMul+Add into Gemm")
    same: bool = param(True, label="Merge equal weights", help="Weight tying")
    limit: float = param(16.0, minimum=0.0, maximum=2048.0, label="Largest result, MiB")

    def blocked(self, graph: Graph) -> Reason | None:
        if not (self.fold or self.fuse or self.same):
            return Reason("Nothing is asked for", "Choose at least one of its steps")
        return None

    def apply(self, edit: Edit) -> None:
        whole = whole_model(edit, _largest(edit))
        _disguise(whole.model.graph)
        model = ModelProto()
        model.CopyFrom(whole.model)  # it changes what it is given
        with quiet(), _faults("onnxslim"):
            changed = self._slimmed(model)
        _adopt(edit, whole, changed, "onnxslim")

    def remarks(self, before: Graph, after: Graph) -> tuple[str, ...]:
        left = left_unfolded(Edit(after), int(self.limit * _MIB)) if self.fold else []
        return (*_held_back(before), *left)

    def _slimmed(self, model: ModelProto) -> ModelProto:
        import onnxslim

        steps = {"constant_folding": self.fold, "graph_fusion": self.fuse, "weight_tying": self.same}
        skipped = [name for name, wanted in steps.items() if not wanted]
        limit = max(1, int(self.limit * _MIB))  # 0 would be taken for none
        changed = onnxslim.slim(model, skip_optimizations=skipped or None, size_threshold=limit)
        if not isinstance(changed, ModelProto):
            raise Fault("onnxslim gave no model back")
        return changed


def _largest(edit: Edit) -> int:
    total = sum(weight.nbytes for weight in edit.initializers.values())
    return _LARGE if total > _READ else total


def _held_back(graph: Graph) -> tuple[str, ...]:
    total = sum(weight.nbytes for weight in graph.initializers.values())
    held = [weight for weight in graph.initializers.values() if weight.nbytes > _LARGE]
    if total <= _READ or not held:
        return ()
    size = sum(weight.nbytes for weight in held) / (1 << 30)
    return (f"{len(held)} weights of {size:.1f} GiB together were not read; what needs their values was left",)


def _adopt(edit: Edit, whole: Whole, changed: ModelProto, library: str) -> None:
    """Takes what a library made of the model, unless it broke it: that is refused, and says what the checker says."""
    _reveal(changed.graph)
    words = _invalid(changed)
    if words and not _invalid(whole.model):
        hint = "The other operations of Clean up may do; the model is unchanged"
        raise Fault(f"{library} made a model of it that is not valid: {words}", "", hint)
    adopt_whole(edit, whole, changed)
    same = edit.initializers.keys() == edit.base.initializers.keys()
    if not edit.touched and same and all(edit.initializers[n] is w for n, w in edit.base.initializers.items()):
        raise Settled(f"There is nothing left for {library} to do", "", _NOTHING)


def _disguise(graph: GraphProto) -> None:
    """Gives operators of other domains names that are in no domain: libraries look at the name alone, and would take a
    plugin that is called Identity for ONNX's."""
    for record in _all_nodes(graph):
        if record.domain not in ("", "ai.onnx"):
            record.op_type = f"{record.domain}{_JOINT}{record.op_type}"


def _reveal(graph: GraphProto) -> None:
    for record in _all_nodes(graph):
        record.op_type = record.op_type.rpartition(_JOINT)[2]


def _all_nodes(graph: GraphProto) -> Iterator[NodeProto]:
    for record in graph.node:
        yield record
        for _, body in bodies(record):
            yield from _all_nodes(body)


def _invalid(model: ModelProto) -> str:
    """The first words of onnx's checker on a model, "" where it is valid."""
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        return str(error).strip().splitlines()[0]
    return ""


@contextlib.contextmanager
def _faults(library: str) -> Iterator[None]:
    """What a library raises on a model that it was not written for, as a Fault: they share no class of errors."""
    try:
        yield
    except Fault:
        raise
    except Exception as error:
        words = str(error).strip().splitlines()
        message = f"{library} can't work on this model: {words[0] if words else type(error).__name__}"
        raise Fault(message, "", "The other operations of Clean up may do; the model is unchanged") from error
