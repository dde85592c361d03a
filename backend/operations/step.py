"""One line of a recipe: an operation with its parameters as they were written, `$NAME` where a recipe's own parameter
stands for a value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from graftwerk.backend.fault import Fault
from graftwerk.backend.operations.registry import Operation, make, parameters

#: `$name` alone is the value itself; `${name}` inside a text is the value's text; `$$` is a dollar sign.
WHOLE = re.compile(r"\$(\w+)")
INSIDE = re.compile(r"\$(?:\{(\w+)\}|(\$))")
_RESERVED = ("operation", "comment", "enabled")


@dataclass(frozen=True, slots=True)
class Step:
    """An operation's id and its parameters as JSON values; a step that is not enabled is kept, and not applied."""

    id: str
    values: Mapping[str, Any] = field(default_factory=dict)
    comment: str = ""
    enabled: bool = True

    @classmethod
    def of(cls, operation: Operation) -> Step:
        return cls(operation.info.id, _escaped(parameters(operation)))

    @classmethod
    def from_json(cls, data: Any, literal: bool = False) -> Step:
        """Raises Fault where the value is no step. `literal`: a dollar sign in it means itself."""
        if not isinstance(data, dict) or not isinstance(data.get("operation"), str):
            raise Fault("A step needs the name of its operation", "", "`graftwerk ops` lists the operations")
        comment, enabled = data.get("comment", ""), data.get("enabled", True)
        if not isinstance(comment, str) or not isinstance(enabled, bool):
            raise Fault("comment is a text and enabled is true or false", data["operation"])
        values = {key: value for key, value in data.items() if key not in _RESERVED}
        return cls(data["operation"], _escaped(values) if literal else values, comment, enabled)

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"operation": self.id, **self.values}
        if self.comment:
            data["comment"] = self.comment
        if not self.enabled:
            data["enabled"] = False
        return data

    def operation(self, given: Mapping[str, Any]) -> Operation:
        """The operation with the recipe's parameters filled in. Raises Fault where one is unknown or does not fit."""
        return make(self.id, _filled(dict(self.values), given))

    def with_values(self, values: Mapping[str, Any]) -> Step:
        return replace(self, values=dict(values))


def _escaped(value: Any) -> Any:
    """A value that means itself when it is read as a step."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {key: _escaped(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(inner) for inner in value]
    return value


def _filled(value: Any, given: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        whole = WHOLE.fullmatch(value)
        if whole is not None:
            return _value(whole[1], given)
        return INSIDE.sub(lambda found: "$" if found[2] else str(_value(found[1], given)), value)
    if isinstance(value, Mapping):
        return {key: _filled(inner, given) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(inner, given) for inner in value]
    return value


def _value(name: str, given: Mapping[str, Any]) -> Any:
    if name not in given:
        known = ", ".join(given) or "none"
        hint = f"The recipe has these parameters: {known}. A dollar sign itself is written $$"
        raise Fault(f"The recipe has no parameter {name}", f"${name}", hint)
    return given[name]
