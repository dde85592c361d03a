"""What the laws are tried on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graftwerk.backend.graph.graph import Graph


@dataclass(frozen=True)
class Case:
    """An operation on a model; `first` are steps that prepare it."""

    id: str
    model: Callable[[], Graph]
    parameters: dict[str, Any]
    first: tuple[tuple[str, dict[str, Any]], ...] = ()

    def __str__(self) -> str:
        values = (value for value in self.parameters.values() if isinstance(value, str | int | bool))
        # Of a file its name alone: processes that share the tests have to know them by the same names.
        shown = "-".join(Path(str(value)).name if Path(str(value)).is_absolute() else str(value) for value in values)
        return f"{self.id}-{self.model.__name__}-{shown}"
