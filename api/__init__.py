"""Graftwerk from Python: open a model, apply operations, save model and recipe.

    import graftwerk

    model = graftwerk.open("resnet50.onnx")
    model.ops.node.delete(nodes=["@op=Identity"])
    model.save("resnet50.clean.onnx")

`graftwerk.Model` has all of it. Nothing is imported before it is used: the program itself starts from this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from graftwerk.backend.model import Model
    from graftwerk.backend.operations.registry import OperationInfo

__all__ = ["Model", "open", "operations"]


def open(path: str | Path) -> Model:
    """The model in a file. Raises `graftwerk.backend.fault.Fault` where it can't be read."""
    from graftwerk.backend.model import Model

    return Model.open(path)


def operations() -> dict[str, OperationInfo]:
    """All operations by id, with their parameters and what they do."""
    import graftwerk.backend.operations.all  # noqa: F401 - registers them
    from graftwerk.backend.operations import registry

    return dict(registry.operations())


def __getattr__(name: str) -> Any:
    if name == "Model":
        from graftwerk.backend.model import Model

        return Model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
