"""What an operation is: one frozen dataclass that is the menu entry, the form, the undo step, the recipe line, the
command and the Python call. `@operation` registers it; nothing else knows a list of operations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar, NewType, Self, TypeVar, get_type_hints

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId

#: A file that an operation reads: absolute, or relative to the working directory. A recipe keeps it relative to itself.
FilePath = NewType("FilePath", str)
#: A text of several lines.
Lines = NewType("Lines", str)


@dataclass(frozen=True, slots=True)
class Selection:
    """What the user has selected: nodes in the order they were picked, and tensors (edges)."""

    nodes: tuple[NodeId, ...] = ()
    tensors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """Base of all operations: parameters are the fields, each made with a type and `param`.

    Field types are what a recipe can hold: `TensorName`, `NodeRef`, str, tuples of them, `FilePath`, `Lines`, int,
    float, bool, Literal, and dicts of JSON values.
    """

    info: ClassVar[OperationInfo]

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Self | Reason:
        """The operation with its parameters filled from a selection, or why the selection doesn't fit.

        Works for operations that take one tensor, one node, or several nodes; others override it.
        """
        values: dict[str, Any] = {}
        for parameter in cls.info.parameters:
            match parameter.kind:
                case "tensor" if parameter.required:
                    if len(selection.tensors) != 1:
                        return Reason("Select one tensor (an edge)")
                    values[parameter.name] = selection.tensors[0]
                case "node" if parameter.required:
                    if len(selection.nodes) != 1:
                        return Reason("Select one node")
                    values[parameter.name] = graph.ref(selection.nodes[0])
                case "nodes" if parameter.required:
                    if not selection.nodes:
                        return Reason("Select one or more nodes")
                    values[parameter.name] = tuple(graph.ref(node) for node in selection.nodes)
        return cls(**{**{p.name: p.initial for p in cls.info.parameters if p.required}, **values})

    def blocked(self, graph: Graph) -> Reason | None:
        """Why it can't be done to this graph, None where it can. Cheap: it is asked while menus open."""
        return None

    def apply(self, edit: Edit) -> None:
        """Does it. Raises Fault where that turns out to be impossible."""
        raise NotImplementedError

    def for_job(self, graph: Graph) -> Operation:
        """The operation as it is given to a job, where the model lies in a file of another name and place."""
        return self

    def remarks(self, before: Graph, after: Graph) -> tuple[str, ...]:
        """What it left alone and why, a sentence each; told with its effect."""
        return ()

    def summary(self) -> str:
        """One line for the history and the recipe panel."""
        shown = [_shown(getattr(self, p.name)) for p in self.info.parameters if p.kind in ("tensor", "node", "nodes")]
        return " ".join([self.info.title, *filter(None, shown)])


@dataclass(frozen=True, slots=True)
class Parameter:
    """One field of an operation as forms and the command line need it.

    `kind` is tensor, tensors, node, nodes, text, lines, texts, file, integer, number, flag, choice, mapping
    (texts by texts, what both are in `columns`) or json. `initial` is its default, or an empty value of its type where
    it is required.
    """

    name: str
    kind: str
    required: bool
    initial: Any
    label: str
    help: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    columns: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class OperationInfo:
    """What is known of an operation without making one.

    `preserves`: it claims that the model computes the same outputs. `slow`: it may take seconds, and is run in a job.
    `tells`: its form tells what it would do to the model, and what that computes is verified once it is done.
    """

    id: str
    title: str
    menu: str
    doc: str
    cls: type[Operation]
    parameters: tuple[Parameter, ...]
    preserves: bool
    slow: bool
    shortcut: str
    tells: bool


#: The menu of what makes a model smaller or simpler and leaves what it computes as it is.
CLEANUP = "Clean up"
#: Levels of lists and objects that a parameter may have: far more than any attribute needs.
_DEPTH = 32
_registry: dict[str, OperationInfo] = {}
O = TypeVar("O", bound=type[Operation])  # noqa: E741


def operation(
    id: str, *, title: str, menu: str, preserves: bool = False, slow: bool = False, shortcut: str = "",
    tells: bool = False,
) -> Callable[[O], O]:
    """Registers an operation under an id such as `qdq.insert`. To stand above `@dataclass(frozen=True)`. Those of Clean
    up tell what they do."""

    def register(cls: O) -> O:
        if id in _registry and _registry[id].cls.__module__ != cls.__module__:
            raise ValueError(f"two operations are called {id}")
        doc = (cls.__doc__ or "").strip()
        told = tells or menu == CLEANUP
        cls.info = OperationInfo(id, title, menu, doc, cls, tuple(_parameters(cls)), preserves, slow, shortcut, told)
        _registry[id] = cls.info
        return cls

    return register


def param(
    default: Any = dataclasses.MISSING,
    *,
    label: str = "",
    help: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    columns: tuple[str, str] = ("", ""),
) -> Any:
    """A field of an operation, with what its form says and the bounds that its value must keep (both included).
    `columns` are what stands on the two sides of a mapping."""
    metadata = {"label": label, "help": help, "minimum": minimum, "maximum": maximum, "columns": columns}
    if isinstance(default, dict | list):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def operations() -> Mapping[str, OperationInfo]:
    """All registered operations by id. Importing `graftwerk.backend.operations.all` registers the built-in ones."""
    return _registry


def info(id: str) -> OperationInfo:
    try:
        return _registry[id]
    except KeyError:
        from graftwerk.backend.graph.schema import close_names  # here: only where it is mistyped

        near = close_names(id, _registry)
        raise Fault("There is no such operation", id, f"{near} `graftwerk ops` lists them".strip()) from None


def make(id: str, parameters: Mapping[str, Any]) -> Operation:
    """An operation from JSON values. Raises Fault that names the parameter where one is unknown or does not fit."""
    found = info(id)
    unknown = parameters.keys() - {parameter.name for parameter in found.parameters}
    if unknown:
        known = ", ".join(parameter.name for parameter in found.parameters) or "none"
        raise Fault(f"There is no parameter {sorted(unknown)[0]!r}", id, f"It has: {known}")
    for name, value in parameters.items():
        _check_value(name, value)
    import msgspec  # here: the window opens before any operation is made

    try:
        made = msgspec.convert(dict(parameters), found.cls)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$.")
        message = f"{path.rstrip('`')}: {what}" if path else what
        raise Fault(message, id, f"`graftwerk ops {id}` shows every parameter with its type") from None
    check_parameters(made)
    return made


def parameters(operation: Operation) -> dict[str, Any]:
    """The parameters as JSON values, those that are at their default left out."""
    # By attribute: msgspec leaves a default that was not given to the class, and would not see it there.
    import msgspec

    values = {p.name: msgspec.to_builtins(getattr(operation, p.name)) for p in operation.info.parameters}
    return {p.name: values[p.name] for p in operation.info.parameters if p.required or values[p.name] != p.initial}


def check_parameters(operation: Operation) -> None:
    """Raises Fault where a number is out of its bounds or not finite, a required text is empty, or a text can't be
    written to a file."""
    for parameter in operation.info.parameters:
        value = getattr(operation, parameter.name)
        _check_value(parameter.label, value)
        if parameter.kind == "number" and not isfinite(value):
            raise Fault(f"{parameter.label} is {value}; a finite number is needed", parameter.name)
        if parameter.minimum is not None and not value >= parameter.minimum:
            raise Fault(f"{parameter.label} is {value}; at least {parameter.minimum:g} is needed", parameter.name)
        if parameter.maximum is not None and not value <= parameter.maximum:
            raise Fault(f"{parameter.label} is {value}; at most {parameter.maximum:g} is allowed", parameter.name)
        if parameter.required and parameter.kind in ("tensor", "node", "text", "lines", "file") and value == "":
            raise Fault(f"{parameter.label} is missing", parameter.name)


def _check_value(label: str, value: Any) -> None:
    """Raises Fault where a text in a JSON value is not Unicode, as after `"\\ud800"`, or lists in it are too deep."""
    level = [value]
    for _ in range(_DEPTH):
        inner: list[Any] = []
        for each in level:
            if isinstance(each, str) and not each.isascii():
                _check_text(label, each)
            elif isinstance(each, Mapping):
                inner += (*each.keys(), *each.values())
            elif isinstance(each, list | tuple):
                inner += each
        if not inner:
            return
        level = inner
    raise Fault(f"{label} holds lists in lists, more than {_DEPTH} deep", label)


def _check_text(label: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Fault(f"{label} holds {text[error.start]!r}, which is no character", label) from None


def why_blocked(operation: Operation, graph: Graph) -> Reason | None:
    """Why an operation can't be done to a graph: bad parameters and unknown names included."""
    try:
        check_parameters(operation)
        return named(operation, graph).blocked(graph)
    except Fault as fault:
        return Reason(str(fault), fault.hint)


def apply(operation: Operation, graph: Graph) -> Graph:
    """The revision that an operation makes of a graph. Raises Fault where it is blocked or can't be done."""
    check_parameters(operation)
    operation = named(operation, graph)
    reason = operation.blocked(graph)
    if reason is not None:
        raise reason.fault(operation.info.title)
    edit = Edit(graph)
    operation.apply(edit)
    return edit.commit()


def named(operation: Operation, graph: Graph) -> Operation:
    """The operation with names where it has selectors (`@op=Conv`, see `selectors`). Raises Fault as they do."""
    values = (getattr(operation, parameter.name) for parameter in operation.info.parameters)
    if not any(_may_select(value) for value in values):
        return operation
    from graftwerk.backend.operations.selectors import expanded  # that needs operations

    return expanded(operation, graph)


def _may_select(value: Any) -> bool:
    texts = value if isinstance(value, tuple) else (value,)
    return any(isinstance(text, str) and text.startswith("@") for text in texts)


def _parameters(cls: type[Operation]) -> Iterator[Parameter]:
    # @operation stands above @dataclass, so the fields exist; their types are texts until asked for.
    hints = get_type_hints(cls)
    for field in dataclasses.fields(cls):
        kind, choices = _kind(hints[field.name])
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required:
            initial = _EMPTY[kind]
        elif field.default_factory is not dataclasses.MISSING:
            initial = field.default_factory()
        else:
            initial = field.default
        meta = field.metadata
        label = meta.get("label") or field.name.replace("_", " ").capitalize()
        yield Parameter(
            field.name, kind, required, initial, label, meta.get("help", ""), meta.get("minimum"), meta.get("maximum"),
            choices, meta.get("columns", ("", "")),
        )  # fmt: skip


_EMPTY: dict[str, Any] = {
    "tensor": "", "tensors": (), "node": "", "nodes": (), "text": "", "lines": "", "texts": (), "file": "",
    "integer": 0, "number": 0.0, "flag": False, "choice": "", "mapping": {},
    "json": {},
}


def _kind(hint: Any) -> tuple[str, tuple[str, ...]]:
    name = getattr(hint, "__name__", "")
    named = {"TensorName": "tensor", "NodeRef": "node", "FilePath": "file", "Lines": "lines"}
    if name in named:
        return named[name], ()
    arguments = getattr(hint, "__args__", ())
    inner = {getattr(argument, "__name__", "") for argument in arguments}
    if getattr(hint, "__origin__", None) is tuple and inner & {"TensorName", "NodeRef", "str"}:
        return ("tensors" if "TensorName" in inner else "nodes" if "NodeRef" in inner else "texts"), ()
    if getattr(hint, "__origin__", None) is dict and arguments == (str, str):
        return "mapping", ()
    if arguments and all(isinstance(argument, str) for argument in arguments):
        return "choice", arguments
    return {"str": "text", "int": "integer", "float": "number", "bool": "flag"}.get(name, "json"), ()


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return f"{value[0]} and {len(value) - 1} more" if len(value) > 1 else "".join(value)
    return str(value)
