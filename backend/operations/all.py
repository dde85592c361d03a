"""Importing this registers every operation that comes with the program: those of all files in this folder."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import graftwerk.backend.operations as folder

#: Registers nothing, and imports this file.
_JOB = "in_job"

for _found in sorted(module.name for module in iter_modules(folder.__path__)):
    if _found not in (_JOB, __name__.rpartition(".")[2]):
        import_module(f"{folder.__name__}.{_found}")
