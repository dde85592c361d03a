"""An edited body or function back into the model that it stands in."""

from __future__ import annotations

from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, helper

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.functions import all_records, call_key, function_key
from graftwerk.backend.graph.graph import Graph, NodeId, bodies
from graftwerk.backend.graph.nested import Place, body_at
from graftwerk.backend.graph.tensors import Initializer


def put_back(edit: Edit, place: Place, before: Graph, after: Graph) -> None:
    """Puts `after`, which was made of the view `before` of what stands at `place`, back there.

    Raises Fault where a body would have other inputs or outputs than its node passes, or where a captured tensor was
    changed: that is done in the graph which it is of.
    """
    if place.function is not None:
        made = _function(edit.base, place.function, before, after)
        _take_model(edit, before, after, imports=False)
        edit.functions = [
            made if function_key(function) == function_key(place.function) else function for function in after.functions
        ]
        callers = [node for node, record in edit.nodes.items() if call_key(record) == function_key(place.function)]
    else:
        assert place.node is not None
        body = _body(body_at(edit.base, place), edit.base.nodes[place.node].op_type, before, after)
        _take_model(edit, before, after, imports=True)
        edit.functions = list(after.functions)
        edit.replace_record(place.node, _with_body(edit.nodes[place.node], place.label, body))
        callers = [place.node]
    for location, source in after.sources.items():
        if source is not None and location not in edit.sources:
            edit.add_source(location, source)
    if after.incomplete is not None:
        edit.mark_incomplete(after.incomplete)
    _forget(edit, callers, before, after)


def _take_model(edit: Edit, before: Graph, after: Graph, imports: bool) -> None:
    """What the edit changed in the model's header. The operator sets of a function are its own, but the model has to
    import every one that is new in it as well."""
    if after.model == before.model:
        return
    kept = list(edit.header.opset_import)
    edit.model.CopyFrom(after.model)
    if not imports:
        del edit.model.opset_import[:]
        edit.model.opset_import.extend(kept)
        for entry in after.model.opset_import:
            edit.require_opset(entry.domain, entry.version)


def _body(body: GraphProto, op_type: str, before: Graph, after: Graph) -> GraphProto:
    captured = {info.name: info for info in before.inputs[len(body.input) :]}
    for info in after.inputs:
        if info.name in captured and info != captured[info.name]:
            raise _foreign(info.name)
    own = [info for info in after.inputs if info.name not in captured]
    if len(own) > len(body.input):
        renamed = [name for name in captured if name not in {info.name for info in after.inputs}]
        if renamed:
            raise _foreign(renamed[0])
    _same_count("inputs", op_type, len(body.input), len(own))
    _same_count("outputs", op_type, len(body.output), len(after.outputs))
    made = GraphProto()
    made.CopyFrom(after.skeleton)
    made.node.extend(after.nodes.values())
    weights = after.initializers.values()
    made.initializer.extend(weight.proto if _whole(weight) else weight.complete() for weight in weights)
    made.input.extend(own)
    made.output.extend(after.outputs)
    made.value_info.extend(after.value_infos.values())
    return made


def _whole(weight: Initializer) -> bool:
    """Whether the record is all there is of a weight, or refers to a file of external data."""
    return weight.span is None or weight.external


def _foreign(name: str) -> Fault:
    return Fault("This tensor is of the graph around the body", name, "Change it in the graph that it is of")


def _same_count(what: str, op_type: str, wanted: int, there: int) -> None:
    if there != wanted:
        hint = "The edit can't be made inside; the node around it would need other ports"
        raise Fault(f"The body would have {there} {what} of its own, but {op_type} needs {wanted}", "", hint)


def _with_body(record: NodeProto, label: str, body: GraphProto) -> NodeProto:
    made = NodeProto()
    made.CopyFrom(record)
    for found, old in bodies(made):
        if found == label:
            old.CopyFrom(body)
    return made


def _function(graph: Graph, function: FunctionProto, before: Graph, after: Graph) -> FunctionProto:
    _same_count("inputs", function.name, len(function.input), len(after.inputs))
    _same_count("outputs", function.name, len(function.output), len(after.outputs))
    made = FunctionProto()
    made.CopyFrom(function)
    for field in ("input", "output", "node", "value_info"):
        made.ClearField(field)
    made.input.extend(info.name for info in after.inputs)
    made.output.extend(info.name for info in after.outputs)
    made.node.extend(_constant(weight) for weight in after.initializers.values())
    made.node.extend(after.nodes.values())
    declared = {info.name: info for info in function.value_info}
    places = [graph.nodes.values(), *(other.node for other in graph.functions)]
    only = sum(call_key(record) == function_key(function) for place in places for record in all_records(place)) == 1
    # What an edit declares is right for the types of the calls that there are: with several it might not be.
    made.value_info.extend(info for info in after.value_infos.values() if only or declared.get(info.name) == info)
    if after.model.opset_import != before.model.opset_import:
        del made.opset_import[:]
        made.opset_import.extend(after.model.opset_import)
    return made


def _constant(weight: Initializer) -> NodeProto:
    """A function has no initializers: a Constant node for one that an edit made."""
    made = NodeProto(op_type="Constant", output=[weight.name], name=weight.name)
    value = weight.proto if _whole(weight) else weight.complete()
    attribute: AttributeProto = helper.make_attribute("value", value)
    made.attribute.append(attribute)
    return made


def _forget(edit: Edit, callers: list[NodeId], before: Graph, after: Graph) -> None:
    """Drops the types of what the nodes around put out, if what is inside puts out something else now."""
    pairs = zip(before.outputs, after.outputs, strict=True)
    if any(before.type_of(one.name) != after.type_of(other.name) for one, other in pairs):
        edit.forget_types(output for node in callers for output in edit.nodes[node].output if output)
