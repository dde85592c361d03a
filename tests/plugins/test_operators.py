"""Descriptions of operators: onnx's, ONNX Runtime's, and TensorRT's plugins against their configurations."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import pytest

from graftwerk.backend.graph.choices import TEXTS
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.operators import Operator, operator_of
from graftwerk.plugins.operators import CONTRIB, all_operators, contrib_operators, described
from graftwerk.plugins.tensorrt_catalog import PARSER_OPERATORS, PLUGINS
from tests.backend.operations import law_models as models
from tests.backend.operations import subgraph_models


@pytest.fixture
def digits(models: Path) -> Graph:
    return load(models / "digits.onnx")


def test_every_operator_of_the_opset_is_there_in_its_version(digits: Graph) -> None:
    found = {one.name: one for one in all_operators(digits) if not one.domain}
    history = [s for s in onnx.defs.get_all_schemas_with_history() if s.domain == "" and s.since_version <= 17]
    assert found.keys() == {schema.name for schema in history}
    for name, operator in found.items():
        assert operator.since == onnx.defs.get_schema(name, 17, "").since_version
    assert found["Scatter"].deprecated
    assert "Mish" not in found, "that came with opset 18"


def test_a_description_has_what_the_schema_says(digits: Graph) -> None:
    found = operator_of(digits, "Conv")
    assert found is not None
    assert [(port.name, port.option) for port in found.inputs] == [("X", "single"), ("W", "single"), ("B", "optional")]
    assert ("T", ("FP16", "FP32", "FP64")) in [(name, types) for name, types, _ in found.constraints]
    pad = found.attribute("auto_pad")
    assert pad is not None
    assert (pad.type, pad.default, pad.choices) == ("string", "NOTSET", ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"))
    group = found.attribute("group")
    assert group is not None
    assert (group.default, group.minimum) == (1, 1)
    cast = operator_of(digits, "Cast")
    assert cast is not None
    to = cast.attribute("to")
    assert to is not None
    assert to.required
    assert "FP16" in to.choices
    assert "float" in found.doc or "convolution" in found.doc


def test_listed_choices_hold_the_defaults_of_all_versions() -> None:
    """A table that leaves a value out would refuse models that are right."""
    for schema in onnx.defs.get_all_schemas_with_history():
        for name, attribute in schema.attributes.items():
            known = TEXTS.get((schema.name, name)) or TEXTS.get(("*", name))
            default = onnx.helper.get_attribute_value(attribute.default_value) if attribute.default_value.name else b""
            if default == b"foward":
                continue  # so in the first versions of GRU and LSTM
            if known and isinstance(default, bytes) and default and schema.domain == "":
                assert default.decode() in known, (schema.name, schema.since_version, name)


def test_a_function_of_the_model_is_an_operator() -> None:
    graph = subgraph_models.functions()
    found = described(graph, "Leaky", "local")
    assert found is not None
    assert found.group == "Functions of this model"
    assert found in all_operators(graph)


def test_onnx_runtime_describes_its_own() -> None:
    names = {one.name for one in contrib_operators()}
    assert {"FusedConv", "FastGelu", "MultiHeadAttention", "QLinearAdd"} <= names
    found = described(models.chain(), "FastGelu", CONTRIB)
    assert found is not None
    assert found.source.startswith("ONNX Runtime 1.")
    assert [port.option for port in found.inputs] == ["single", "optional"]


def test_a_plugin_is_known_by_its_name() -> None:
    found = described(models.chain(), "EfficientNMS_TRT", "")
    assert found is not None
    assert found.domain == "trt.plugins"
    assert described(models.chain(), "NoSuchThing", "trt.plugins") is None


@pytest.mark.parametrize("operator", [*PLUGINS, *PARSER_OPERATORS], ids=lambda one: one.name)
def test_the_catalog_is_complete_in_itself(operator: Operator) -> None:
    assert operator.doc
    assert operator.outputs
    assert operator.source
    names = [one.name for one in operator.attributes]
    assert len(set(names)) == len(names)
    for attribute in operator.attributes:
        assert attribute.doc
        assert attribute.type in ("int", "float", "string", "ints", "floats")
        if attribute.default is not None and attribute.choices:
            assert attribute.default in attribute.choices


def test_the_catalog_agrees_with_the_configurations_of_the_plugins(shared: Path) -> None:
    """Names, attributes, versions and input names of each configuration's newest version."""
    folder = shared / "plugin-configs"
    known = {one.name: one for one in PLUGINS}
    for path in sorted(folder.glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        (name,) = re.findall(r'^name:\s*"?([^\s"]+)', text, re.MULTILINE)
        versions = re.findall(r'^  "(\d+)":', text, re.MULTILINE)
        operator = known[name]
        version = operator.attribute("plugin_version")
        assert version is not None
        assert set(versions) <= set(version.choices), name
        newest = re.split(rf'^  "{max(versions, key=int)}":', text, flags=re.MULTILINE)[1]
        newest = re.split(r'^  "\d+":', newest, flags=re.MULTILINE)[0]
        listed = re.search(r"^    attributes:\n((?:      - \S+\n)+)", newest, re.MULTILINE)
        assert listed is not None, name
        names = set(re.findall(r"- (\S+)", listed.group(1)))
        ours = {one.name for one in operator.attributes} - {"plugin_version", "plugin_namespace"}
        assert names == ours, name
        inputs = re.search(r"^    inputs:\n((?:      - \S+\n)+)", newest, re.MULTILINE)
        if inputs is not None:
            assert re.findall(r"- (\S+)", inputs.group(1)) == [port.name for port in operator.inputs], name
