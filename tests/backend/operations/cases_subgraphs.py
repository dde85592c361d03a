"""Law cases of the operations on parts of a model."""

from __future__ import annotations

from tests.backend.operations import law_models as models
from tests.backend.operations import subgraph_models as subgraphs
from tests.backend.operations.law_case import Case

CASES = [
    Case("subgraph.keep", models.chain, {"nodes": ["Sigmoid_1"]}),
    Case("subgraph.keep", models.residual, {"nodes": ["Neg_1", "Add_2"]}),
    Case("subgraph.keep", models.branches, {"nodes": ["If_1"]}),
    Case("subgraph.keep", models.branches, {"inputs": ["r", "c", "x"], "outputs": ["z"]}),
    Case("subgraph.keep", models.constants, {"nodes": ["Add_2"]}),
    Case("subgraph.keep", models.dead, {"outputs": ["c"]}),
    Case("subgraph.keep", models.loop, {"inputs": ["s", "r"]}),
    Case("subgraph.keep", models.old_inputs, {"nodes": ["Add_0"]},
         (("node.insert", {"tensor": "y", "op_type": "Relu"}),)),
    Case("subgraph.keep", subgraphs.functions, {"outputs": ["b"]}),
    Case("subgraph.keep", models.digits, {"nodes": ["/stem/conv/Conv", "/stem/relu/Relu"]}),
]  # fmt: skip
