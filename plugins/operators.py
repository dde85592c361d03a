"""Every operator that a node can be of, wherever it is described."""

from __future__ import annotations

from functools import lru_cache

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.operators import STANDARD, Operator, of_schemas, operator_of, operators
from graftwerk.plugins.tensorrt_catalog import PARSER_OPERATORS, PLUGINS

#: The domain of ONNX Runtime's operators; those of its other domains are made by its own optimizer only.
CONTRIB = "com.microsoft"


@lru_cache(maxsize=1)
def contrib_operators() -> tuple[Operator, ...]:
    """Those of ONNX Runtime; none where it is not installed. The first call imports it."""
    from graftwerk.backend.engines.onnxruntime import contrib_schemas  # when operators are first listed

    try:
        version, schemas = contrib_schemas(CONTRIB)
    except Fault:
        return ()
    return tuple(of_schemas(schemas, CONTRIB, 1, f"ONNX Runtime {version}"))


def all_operators(graph: Graph) -> list[Operator]:
    """The operators of the operator sets that the model imports, its functions, those of ONNX Runtime, and TensorRT's
    plugins."""
    return [*operators(graph), *contrib_operators(), *PARSER_OPERATORS, *PLUGINS]


def described(graph: Graph, op_type: str, domain: str = "") -> Operator | None:
    """What is known of the operator of a node; a plugin is known by its name, whatever its domain is."""
    found = operator_of(graph, op_type, domain)
    if found is not None:
        return found
    if domain == CONTRIB:
        return next((one for one in contrib_operators() if one.name == op_type), None)
    if domain in STANDARD or not graph.functions or domain not in {each.domain for each in graph.functions}:
        return next((one for one in (*PARSER_OPERATORS, *PLUGINS) if one.name == op_type), None)
    return None
