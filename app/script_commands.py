"""`graftwerk export`: a recipe as a script that others can run."""

from __future__ import annotations

import argparse
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from graftwerk.app.output import print_json, print_line
from graftwerk.app.recipe_settings import add_settings
from graftwerk.backend.document import Document
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.shapes import infer
from graftwerk.backend.operations.recipe import Recipe
from graftwerk.backend.output_paths import check_outputs
from graftwerk.backend.scripts.export import KINDS, write_script


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = commands.add_parser("export", help="write a recipe as an onnx-graphsurgeon or Graftwerk script")
    one.add_argument("recipe", type=Path)
    one.add_argument("model", type=Path, help="the model that the recipe is for")
    one.add_argument("-o", "--output", type=Path, required=True, help="the script, such as edit.py")
    text = "for onnx-graphsurgeon alone (default), or for Graftwerk's Python interface"
    one.add_argument("--for", choices=KINDS, default=KINDS[0], dest="kind", help=text)
    add_settings(one)
    one.add_argument("--json", action="store_true")
    one.set_defaults(function=_export)


def _export(parsed: argparse.Namespace) -> int:
    check_outputs({"script": parsed.output}, [parsed.recipe, parsed.model])
    recipe = Recipe.load(parsed.recipe)
    recipe = replace(recipe, parameters=recipe.filled(dict(parsed.set)))
    document = Document.open(parsed.model)
    with suppress(Fault):  # operations say themselves what they can't know
        document.set_types(document.graph, infer(document.graph))
    history = document.with_recipe(recipe)
    if history.stopped is not None:
        raise history.stopped
    document.rewrite(history)
    lost = write_script(document, parsed.output, parsed.kind)
    if parsed.json:
        print_json({"output": str(parsed.output), "steps": len(recipe.steps), "lost": list(lost)})
    elif lost:
        print_line(f"The script's result lacks what graphsurgeon doesn't keep: {', '.join(lost)}")
    return 0
