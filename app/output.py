"""What the commands print: whole lines, in whatever encoding and onto whatever is left of the standard streams."""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import suppress
from typing import Any

from graftwerk.backend.fault import Fault


def prepare_streams() -> None:
    """A standard stream that was closed leads to nothing, so that no file gets its number; none fails on a letter."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w" if number else "r", encoding="utf-8"))  # noqa: SIM115
        elif number and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def silence_stdout() -> None:
    """Leads stdout to nothing: what could not be written is not tried again when the process ends."""
    with suppress(OSError, ValueError):  # no descriptor: a test's or a notebook's stream
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)


def print_json(value: Any) -> None:
    """One line of JSON, which says the same in every encoding of stdout."""
    plain = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    text = json.dumps(value, ensure_ascii=plain)
    try:
        text.encode()
    except UnicodeEncodeError:  # a file name with bytes that are no text
        text = json.dumps(value)
    _print(text)


def one_line(text: str) -> str:
    """Line ends and control characters, which names in a model may hold, as their escapes."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


def print_line(text: str) -> None:
    """A line that names from a model may stand in."""
    _print(one_line(text))


def _print(text: str) -> None:
    """A line, for as long as somebody reads them: after that (`| head`) the command goes on, for its exit code."""
    try:
        print(text)
    except BrokenPipeError:
        silence_stdout()


def print_fault(fault: Fault) -> None:
    """A line that says what is wrong, and one with what to try."""
    print(f"graftwerk: {one_line(str(fault))}", file=sys.stderr)
    if fault.hint:
        print(f"hint: {one_line(fault.hint)}", file=sys.stderr)
