"""Law cases of the operations on parts of a model."""

from __future__ import annotations

from tests.backend.operations import graft_files as files
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
    Case("function.wrap", models.residual, {"nodes": ["Neg_1", "Add_2"], "name": "Mine"}),
    Case("function.wrap", models.branches, {"nodes": ["Relu_0", "If_1"], "name": "Choice"}),
    Case("function.wrap", models.loop, {"nodes": ["Abs_1", "y"], "name": "Repeat", "inputs": ["r", "x"]}),
    Case("function.wrap", models.old_inputs, {"nodes": ["Add_0"], "name": "P"}),
    Case("function.wrap", models.constants, {"nodes": ["Add_2", "Reshape_4"], "name": "Both"}),
    Case("function.wrap", subgraphs.functions, {"nodes": ["Leaky_0", "Leaky_1"], "name": "Outer"}),
    Case("function.wrap", models.digits, {"nodes": ["/stem/conv/Conv", "/stem/relu/Relu"], "name": "Stem"}),
    Case("function.inline", models.residual, {"nodes": ["Mine"]},
         (("function.wrap", {"nodes": ["Neg_1", "Add_2"], "name": "Mine"}),)),
    Case("function.inline", models.dead, {"nodes": ["y"]}),
    Case("function.inline", subgraphs.functions, {"nodes": ["Leaky_0"]}),
    Case("function.inline", subgraphs.functions, {"nodes": ["Leaky_0", "Leaky_1"], "deep": True}),
    Case("function.inline", subgraphs.functions, {"nodes": ["Choose_2"]}),
    Case("function.inline", models.branches, {"nodes": ["Choice"]},
         (("function.wrap", {"nodes": ["Relu_0", "If_1"], "name": "Choice"}),)),
    Case("subgraph.replace_with_node", models.residual, {"nodes": ["Neg_1", "Add_2"], "op_type": "Abs"}),
    Case("subgraph.replace_with_node", models.constants, {"nodes": ["Add_2", "Reshape_4"], "op_type": "Mine",
                                                         "domain": "trt.plugins", "attributes": {"a": [1.0, 2.0]}}),
    Case("subgraph.replace_with_node", subgraphs.gelu, {"nodes": ["Div_0", "Erf_1", "Add_2", "Mul_3", "Mul_4"],
                                                       "op_type": "Gelu"}),
    Case("graph.merge", models.chain, {"file": files.SCALE}),
    Case("graph.merge", models.chain, {"file": files.SCALE, "prefix": "other/", "series": True}),
    Case("graph.merge", models.chain, {"file": files.SCALE, "connect": {"x": "r"}, "keep": True}),
    Case("graph.merge", models.residual, {"file": files.SCALE, "feed": {"x": "y"}}),
    Case("graph.merge", models.branches, {"file": files.PAIR, "connect": {"left": "x", "c": "c"}}),
    Case("graph.merge", models.dead, {"file": files.CALL, "connect": {"x": "c"}}),
    Case("graph.merge", models.chain, {"file": files.OLD, "connect": {"x": "y"}}),
    Case("subgraph.replace_with_graph", models.residual, {"nodes": ["Neg_1", "Add_2"], "file": files.SCALE}),
    Case("subgraph.replace_with_graph", models.chain, {"nodes": ["Sigmoid_1"], "file": files.SCALE, "prefix": "new/"}),
    Case("subgraph.replace_with_graph", models.branches,
         {"nodes": ["If_1"], "file": files.PAIR, "inputs": {"left": "r"}, "outputs": {"z": "both"}}),
    Case("subgraph.replace_with_graph", models.dead, {"nodes": ["y"], "file": files.CALL}),
    Case("graph.within", models.branches, {"path": ["If_1", "then_branch"], "step": {
        "operation": "subgraph.replace_with_graph", "nodes": ["inner"], "file": files.SCALE, "inputs": {"x": "r"}}}),
    Case("graph.within", subgraphs.functions,
         {"path": ["function::local::Leaky"], "step": {"operation": "function.inline", "nodes": ["Twice_1"]}}),
    Case("graph.within", models.branches, {"path": ["If_1", "then_branch"], "step": {
        "operation": "function.wrap", "nodes": ["inner", "out"], "name": "Inside"}}),
]  # fmt: skip
