"""Law cases of the operations on single nodes and names."""

from __future__ import annotations

from tests.backend.operations import graft_files as files
from tests.backend.operations import law_models as models
from tests.backend.operations import subgraph_models as subgraphs
from tests.backend.operations.law_case import Case

CASES = [
    Case("node.add", models.chain, {"op_type": "Relu", "inputs": ["r"]}),
    Case("node.add", models.chain, {"op_type": "Add", "inputs": ["r"]}),  # B is open
    Case("node.add", models.chain, {"op_type": "Split", "inputs": ["x"], "attributes": {"axis": 1},
                                    "outputs": ["left", "right"]}),
    Case("node.add", models.chain, {"op_type": "FastGelu", "domain": "com.microsoft", "inputs": ["x"], "name": "gelu"}),
    Case("node.add", subgraphs.functions, {"op_type": "Twice", "domain": "local", "inputs": ["x"]}),
    Case("node.add", models.branches, {"op_type": "Neg", "inputs": ["z"], "outputs": ["inner"]}),
    Case("node.rewire", models.chain, {"node": "mine", "input": 1, "tensor": "x"},
         (("node.add", {"op_type": "Add", "inputs": ["r"], "name": "mine"}),)),
    Case("attribute.set_all", models.quantized, {"node": "t", "attributes": {"perm": [0, 1, 2, 3]}}),
    Case("attribute.set_all", models.digits, {"node": "/stem/conv/Conv", "attributes": {"auto_pad": "SAME_UPPER"},
                                              "remove": ["pads"]}),
    Case("node.duplicate", models.residual, {"nodes": ["Neg_1", "Add_2"]}),
    Case("node.duplicate", models.branches, {"nodes": ["If_1"]}),
    Case("node.duplicate", models.unnamed, {"nodes": ["y"]}),
    Case("node.duplicate", models.digits, {"nodes": ["/stem/conv/Conv", "/stem/relu/Relu"]}),
    Case("node.bypass", models.chain, {"nodes": ["Sigmoid_1"]}),
    Case("node.bypass", models.chain, {"nodes": ["Sigmoid_1", "Neg_2"]}),
    Case("node.bypass", models.residual, {"nodes": ["Add_2"], "through": "b"}),
    Case("node.bypass", models.digits, {"nodes": ["/stem/relu/Relu"]}),
    Case("node.to_identity", models.chain, {"nodes": ["Relu_0", "Neg_2"]}),
    Case("node.to_identity", models.residual, {"nodes": ["Add_2"], "through": "a"}),
    Case("node.to_identity", models.constants, {"nodes": ["Add_2"]}),
    Case("node.to_identity", models.plugin, {"nodes": ["Gelu_1"]}),
    Case("node.swap", models.chain, {"nodes": ["Relu_0", "Neg_2"], "op_type": "Abs"}),
    Case("node.swap", models.quantized, {"nodes": ["t"], "op_type": "Mine", "domain": "trt.plugins"}),
    Case("node.swap", models.digits, {"nodes": ["/stem/relu/Relu"], "op_type": "LeakyRelu",
                                      "attributes": {"alpha": 0.2}}),
    Case("graph.rename_pattern", models.chain, {"pattern": "^([a-z])$", "replacement": "t_\\1", "ports": True}),
    Case("graph.rename_pattern", models.branches, {"pattern": "^", "replacement": "model/", "ports": True}),
    Case("graph.rename_pattern", models.old_inputs, {"pattern": "w", "replacement": "weight", "ports": True}),
    Case("graph.rename_pattern", models.digits, {"pattern": "^/(\\w+)/", "replacement": "\\1."}),
    Case("graph.rename_pattern", models.digits, {"pattern": "branch", "replacement": "b", "kind": "nodes"}),
    Case("graph.rename_pattern", models.loop, {"pattern": "^r$", "replacement": "relu", "nodes": ["Relu_0"]}),
    Case("graph.paste", models.chain, {"file": files.SCALE}),
    Case("graph.paste", models.chain, {"file": files.SCALE, "inputs": {"x": "r"}, "prefix": "p/"}),
    Case("graph.paste", models.residual, {"file": files.PAIR, "open": True}),
    Case("graph.paste", models.dead, {"file": files.CALL, "inputs": {"x": "c"}}),
]  # fmt: skip
