"""Importing this registers every operation that comes with the program."""

from __future__ import annotations

import graftwerk.backend.operations.qdq_insert
import graftwerk.backend.operations.qdq_remove  # noqa: F401
