"""Importing this registers every operation that comes with the program."""

from __future__ import annotations

import graftwerk.backend.operations.attributes
import graftwerk.backend.operations.delete
import graftwerk.backend.operations.fold
import graftwerk.backend.operations.insert
import graftwerk.backend.operations.interface
import graftwerk.backend.operations.plugin
import graftwerk.backend.operations.qdq_insert
import graftwerk.backend.operations.qdq_move
import graftwerk.backend.operations.qdq_remove
import graftwerk.backend.operations.rename
import graftwerk.backend.operations.rewire
import graftwerk.backend.operations.unused  # noqa: F401
