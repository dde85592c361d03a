"""Retype: the model's floats in FP16, BF16 or a mixture, by Casts where precisions meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from graftwerk.backend.fault import Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeRef, TensorName
from graftwerk.backend.graph.scopes import check_kept
from graftwerk.backend.operations.registry import Operation, Selection, operation, param
from graftwerk.backend.precision.plan import Plan, Wish, retype_plan
from graftwerk.backend.precision.ports import PRECISIONS, float_of

Target = Literal["FP16", "BF16", "mixed FP16", "mixed BF16", "FP32"]


@operation("precision.retype", title="Retype", menu="Precision", tells=True)
@dataclass(frozen=True)
class Retype(Operation):
    """Compute the model in FP16 or BF16: in strongly typed TensorRT a node runs in the datatype of its tensors.

    *Mixed* leaves operators in FP32 that lose most (softmax, normalizations, sums, exponentials). A Cast stands where
    precisions meet, one for all readers of a tensor; what only moves values goes where it costs the fewest Casts, and
    Casts that cancel are removed. Weights are converted: what is too large is held at the largest finite value.

    It stays in FP32: what is in the lists to keep, what the opset allows no other datatype for, bodies of If, Loop and
    Scan, local functions and plugins, sizes and indices, and nodes with a constant that would become zero.
    `keep_tensors` are made and read in FP32: those that the range check names.
    """

    to: Target = param("FP16", help="The datatype to compute in")
    only: tuple[NodeRef, ...] = param((), label="Only these nodes", help="Empty: all nodes")
    keep: tuple[NodeRef, ...] = param((), label="Nodes to keep", help="By name, or by selectors such as @name~attn")
    keep_ops: tuple[str, ...] = param((), label="Operators to keep", help="Such as Softmax")
    keep_scopes: tuple[str, ...] = param((), label="Scopes to keep", help="Such as encoder/layer.0")
    keep_tensors: tuple[TensorName, ...] = param((), label="Tensors out of range", help="As the range check names them")
    interface: Literal["keep", "convert"] = param(
        "keep", label="Inputs and outputs", help="keep: they stay as they are, with Casts behind and before them"
    )

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Retype | Reason:
        return cls(only=tuple(graph.ref(node) for node in selection.nodes))

    def blocked(self, graph: Graph) -> Reason | None:
        for tensor in self.keep_tensors:
            if not graph.defines(tensor):
                return Reason(f"There is no tensor {tensor!r}", "The range check names those of this model")
        for ref in (*self.only, *self.keep):
            graph.find(ref)
        check_kept(graph, self.keep_ops, self.keep_scopes)
        if not any(float_of(graph, name) for name in graph.tensors()):
            return Reason("The model has no float tensors whose type is known")
        if self.to.endswith("BF16") and (graph.opset() or 0) < 13:
            return Reason(f"BF16 needs opset 13; the model has {graph.opset()}", "Convert the model to a newer opset")
        return None

    def plan(self, graph: Graph) -> Plan:
        """Which node gets which precision, and why some keep theirs."""
        return retype_plan(graph, Wish(
            dtype=PRECISIONS[self.to.rpartition(" ")[2]],
            mixed=self.to.startswith("mixed"),
            only=frozenset(map(graph.find, self.only)) if self.only else None,
            keep=frozenset(map(graph.find, self.keep)),
            keep_ops=frozenset(self.keep_ops),
            keep_scopes=self.keep_scopes,
            keep_tensors=frozenset(self.keep_tensors),
            convert_interface=self.interface == "convert",
        ))  # fmt: skip

    def apply(self, edit: Edit) -> None:
        plan = self.plan(edit.base)
        plan.write(edit)
        if not edit.touched and not plan.inputs and not plan.outputs and not _differs(edit):
            raise Reason("No node changes its precision", _why(plan), settled=not plan.kept).fault(self.info.title)

    def summary(self) -> str:
        what = f"{len(self.only)} nodes" if self.only else "the model"
        kept = f", {len(self.keep_tensors)} tensors out of range stay in FP32" if self.keep_tensors else ""
        return f"Retype {what} to {self.to}{kept}"


def _why(plan: Plan) -> str:
    return next((reason.text for reason in plan.kept.values()), "All nodes have it already")


def _differs(edit: Edit) -> bool:
    """Whether a weight was converted though no node is another one: its readers call it as before."""
    return any(edit.initializers.get(name) is not weight for name, weight in edit.base.initializers.items())
