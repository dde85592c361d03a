"""Edits as a plain onnx-graphsurgeon script, which runs without this program and gives the same graph and weights.

What a step changed is read off its two revisions, so every operation exports, one of tomorrow as well. Weights that
are too large for a line, local functions and bodies lie in an ONNX file beside the script.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx import ModelProto
from onnx.helper import get_attribute_value

from graftwerk.backend.atomic import atomic
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph, bodies, captures
from graftwerk.backend.scripts.changes import StepWriter
from graftwerk.backend.scripts.values import Values

_HEAD = '''"""{title}

    python {script} {model} OUTPUT

Written by Graftwerk; needs onnx-graphsurgeon, onnx and numpy alone.{data}{lost}
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.importers.onnx_importer import OnnxImporter
from onnx_graphsurgeon.ir.tensor import LazyValues

if len(sys.argv) != 3:
    sys.exit(f"usage: {{sys.argv[0]}} MODEL OUTPUT")
source, target = Path(sys.argv[1]), Path(sys.argv[2])
model = onnx.load(source)
graph = gs.import_onnx(model)
tensors = {{one.name: one for one in graph.inputs}} | graph.tensors()
'''
_BODIES = '''for inner in graph.subgraphs(recursive=True):  # what bodies read from around them
    for name, one in inner.tensors().items():
        tensors.setdefault(name, one)
'''
_UNUSED = '''for weight in model.graph.initializer:  # those that no node reads by itself
    tensors.setdefault(weight.name, gs.Constant(weight.name, LazyValues(weight)))
'''
_DATA = '''data = onnx.load(Path(__file__).with_name({name!r}))
weights = {{weight.name: LazyValues(weight) for weight in data.graph.initializer}}
'''
#: What a script may use, each with the text that calls it; those that it doesn't use are left out.
_HELPERS = {
    "tensor(": '''
def tensor(name):
    """The tensor of that name, a new one where there is none; an optional input that is left out is called ""."""
    return tensors.setdefault(name, gs.Variable(name)) if name else gs.Variable.empty()
''',
    "node(": '''
def node(name):
    """The node of that name, or the one that makes the tensor of that name."""
    named = [one for one in graph.nodes if one.name == name]
    return named[0] if len(named) == 1 else tensor(name.removeprefix("output:")).inputs[0]
''',
    "remove(": '''
def remove(*names):
    gone = [node(name) for name in names]
    for one in gone:
        one.inputs.clear()
        one.outputs.clear()
    graph.nodes[:] = [one for one in graph.nodes if not any(one is other for other in gone)]
''',
    "add(": '''
def add(op, name, inputs, outputs, attrs=None, domain=None, after=None):
    """A new node behind another one, or before all."""
    made = gs.Node(op, name, attrs or {}, list(map(tensor, inputs)), list(map(tensor, outputs)), domain)
    at = next(at for at, one in enumerate(graph.nodes) if one is after) + 1 if after is not None else 0
    graph.nodes.insert(at, made)
''',
    "declare(": '''
def declare(name, dtype=None, shape=None):
    tensor(name).dtype, tensor(name).shape = dtype, shape
''',
    "variable(": '''
def variable(name, dtype, shape):
    """A weight's place without its values."""
    tensor(name).to_variable(dtype, shape).type = "tensor_type"
''',
    "body(": '''
def body(name):
    """A body of If, Loop or Scan, as it stands in the file beside this script."""
    proto = next(one for one in data.graph.node if one.name == name).attribute[0].g
    return OnnxImporter.import_graph(proto, tensors, graph.opset, graph.import_domains)
''',
    "reorder(": '''
def reorder(*names):
    graph.nodes[:] = [node(name) for name in names]
''',
}
_LIFT = '''

def lift(body):
    """graphsurgeon writes a weight that a body reads from around it into the body: back to where it was."""
    for attribute in (one for node in body.node for one in node.attribute if one.HasField("g")):
        for weight in [one for one in attribute.g.initializer if one.name in {names}]:
            if all(one.name != weight.name for one in result.graph.initializer):
                result.graph.initializer.append(weight)
            attribute.g.initializer.remove(weight)
        lift(attribute.g)


lift(result.graph)
'''
_SAVE = '''
large = result.ByteSize() > 2**31 - 2**20  # more than a protobuf file can hold
onnx.save(result, target, save_as_external_data=large, location=target.name + ".data" if large else None)
'''


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text, the file that has to lie beside it (None where it needs none), and what its result lacks."""

    text: str
    data: ModelProto | None
    data_name: str
    lost: tuple[str, ...]

    def save(self, path: Path) -> None:
        """Writes both files. Raises Fault where that can't be done."""
        try:
            if self.data is not None:
                with atomic(path.with_name(self.data_name)) as file:
                    file.write(self.data.SerializeToString())
            with atomic(path) as file:
                file.write(self.text.encode())
        except OSError as error:
            hint = "Choose a folder that exists, is writable and has space left"
            raise Fault(f"Can't write: {error.strerror}", str(path), hint) from error


def script_of(graphs: Sequence[Graph], titles: Sequence[str], model: str, name: str) -> Script:
    """The script called `name` that makes the last of some revisions of the first one.

    `titles` say what led to each revision behind the first; `model` is the file name of the first. Raises Fault where
    graphsurgeon can't hold what is in the model.
    """
    first, last = graphs[0], graphs[-1]
    _check(last)
    values = Values(Path(name).stem)
    lines: list[str] = []
    for number, (before, after, title) in enumerate(zip(graphs, graphs[1:], titles, strict=False), 1):
        step = StepWriter(before, after, values).lines()
        lines += ["", f"# {number}. {title}", *step] if step else ["", f"# {number}. {title}: changes nothing here"]
    lines += _header_changes(first, last, values)
    body = "\n".join(lines)
    called = body + "".join(text for call, text in _HELPERS.items() if call in body)
    helpers = "\n".join(text for call, text in _HELPERS.items() if call in called or call == "tensor(")
    lost = tuple(_lost(first, last))
    data = values.model()
    head = _HEAD.format(
        title=f"The edits of {model}" if model else "Edits of a model",
        script=name,
        model=model or "MODEL",
        data=f" Reads {values.file} beside it." if data is not None else "",
        lost="\n\nThe result lacks what graphsurgeon doesn't keep: " + ", ".join(lost) + "." if lost else "",
    )
    start = head + (_BODIES if first.holders else "") + (_UNUSED if _unused(first) else "")
    start += _DATA.format(name=values.file) if data is not None else ""
    end = "\nresult = gs.export_onnx(graph)\n" + (_LIFT.format(names=read) if (read := _read_in_bodies(last)) else "")
    return Script(f"{start}\n{helpers}\n{body}\n{end}{_SAVE.lstrip()}", data, values.file, lost)


def _header_changes(first: Graph, last: Graph, values: Values) -> list[str]:
    lines = []
    if last.functions != first.functions:
        values.functions(last.functions)
        lines.append("graph.functions = [OnnxImporter.import_function(one) for one in data.functions]")
    opsets = [(entry.domain, entry.version) for entry in last.model.opset_import]
    if opsets != [(entry.domain, entry.version) for entry in first.model.opset_import]:
        standard = last.opset()
        lines += [f"graph.opset = {standard}"] if standard is not None else []
        made = ", ".join(f"onnx.helper.make_opsetid({domain!r}, {version})" for domain, version in opsets)
        lines.append(f"graph.import_domains = [{made}]")
    if last.model.ir_version != first.model.ir_version:
        lines.append(f"graph.ir_version = {last.model.ir_version}")
    return ["", "# The header", *lines] if lines else []


def _read_in_bodies(graph: Graph) -> list[str]:
    held = (body for node in graph.holders for _, body in bodies(graph.nodes[node]))
    return sorted({name for body in held for name in captures(body)} & graph.initializers.keys())


def _unused(graph: Graph) -> bool:
    direct = {name for record in graph.nodes.values() for name in record.input}
    return any(name not in direct for name in graph.initializers)


def _check(graph: Graph) -> None:
    for node, record in graph.nodes.items():
        for attribute in record.attribute:
            value = get_attribute_value(attribute) if not attribute.ref_attr_name else 1
            if hasattr(value, "__len__") and not isinstance(value, bytes) and not len(value):
                hint = "Remove the attribute where an empty list is its default, or apply the recipe with Graftwerk"
                place = f"{graph.ref(node)}, {attribute.name}"
                raise Fault("graphsurgeon can't write an attribute that is an empty list", place, hint)


def _lost(first: Graph, last: Graph) -> Iterable[str]:
    """What is in the model, and not in what graphsurgeon writes (0.6.1: see its exporter)."""
    counts = {
        "documentation of {} nodes": sum(bool(record.doc_string) for record in last.nodes.values()),
        "metadata of {} nodes": sum(bool(record.metadata_props) for record in last.nodes.values()),
        "{} quantization annotations": len(last.model.graph.quantization_annotation),
        "{} entries of the model's metadata": len(last.model.metadata_props) + len(last.model.graph.metadata_props),
        "the model's documentation": int(bool(last.model.doc_string)),
        "{} weights that no node reads": sum(not last.consumers(name) for name in last.initializers),
        "that {} weights are inputs as well": sum(info.name in last.initializers for info in last.inputs),
        "{} training steps": len(last.model.training_info),
    }
    yield from (text.format(f"{count:,}") for text, count in counts.items() if count)


