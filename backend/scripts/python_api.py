"""A recipe as a Python script of this program's own interface."""

from __future__ import annotations

from keyword import iskeyword
from typing import Any

from graftwerk.backend.operations.recipe import Recipe
from graftwerk.backend.operations.step import INSIDE, WHOLE

_TAKEN = ("graftwerk", "model", "sys")
_HEAD = '''"""{title}

    python {script} {model} OUTPUT
"""

import sys

import graftwerk

if len(sys.argv) != 3:
    sys.exit(f"usage: {{sys.argv[0]}} MODEL OUTPUT")
model = graftwerk.open(sys.argv[1])
'''


def script_of(recipe: Recipe, name: str) -> str:
    """The script called `name` that applies a recipe: one call for each step, parameters as variables at the top."""
    title = f"The edits of {recipe.model}." if recipe.model else "Edits of a model."
    lines = [_HEAD.format(title=title, script=name, model=recipe.model or "MODEL")]
    lines += [f"{_variable(key)} = {value!r}" for key, value in recipe.parameters.items()]
    for step in recipe.steps:
        if step.comment:
            lines += ["", *(f"# {line}" for line in step.comment.splitlines())]
        given = [f"{key}={_expression(value)}" for key, value in step.values.items()]
        call = f"model.apply({', '.join([repr(step.id), *given])})"
        lines.append(call if step.enabled else f"# {call}")
    return "\n".join([*lines, "", "model.save(sys.argv[2])", ""])


def _expression(value: Any) -> str:
    """A value as it is written in a step as source: `$name` is a variable, `${name}` part of a text."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_expression(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_expression, value)) + "]"
    if not isinstance(value, str) or "$" not in value:
        return repr(value)
    whole = WHOLE.fullmatch(value)
    if whole is not None:
        return _variable(whole[1])
    parts, at, named = [], 0, False
    for found in INSIDE.finditer(value):
        parts += [_literal(value[at : found.start()]), f"{{{_variable(found[1])}}}" if found[1] else "$"]
        at, named = found.end(), named or bool(found[1])
    text = "".join([*parts, _literal(value[at:])])
    return "f" + repr(text) if named else repr(value.replace("$$", "$"))


def _variable(name: str) -> str:
    """A parameter as a variable: not one that the script needs for itself."""
    return name if name.isidentifier() and not iskeyword(name) and name not in _TAKEN else f"parameter_{name}"


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
