"""Values for a recipe's parameters on the command line."""

from __future__ import annotations

import argparse
import json
from typing import Any


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Adds `--set NAME=VALUE`, which may be repeated: `set` is a list of names with values."""
    text = "another value for one of the recipe's parameters; may be repeated"
    parser.add_argument("--set", type=_setting, action="append", default=[], metavar="NAME=VALUE", help=text)


def utf8_text(text: str) -> str:
    """Names in a model are UTF-8; bytes of an argument that are not reach us as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("it is not UTF-8 text") from None
    return text


def _setting(text: str) -> tuple[str, Any]:
    """NAME=VALUE, where the value is JSON, or else a text."""
    name, equals, value = utf8_text(text).partition("=")
    if not (equals and name):
        raise argparse.ArgumentTypeError("it is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
