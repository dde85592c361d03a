"""The names that TensorRT-RTX's log gives to nodes, and the nodes they mean.

Runs on Python 3.9 with nothing but the standard library.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from graftwerk.backend.engines.source import SourceGraph


class LogNames:
    """From the log's names of nodes to references.

    A node without a name is `node_of_` and its first output. A node inside a function or a body carries the way to it,
    `node_of_Y | p (Name)`; it counts for the node of the graph that holds it.
    """

    def __init__(self, source: SourceGraph) -> None:
        self._named: dict[str, list[str]] = defaultdict(list)
        for node in source.nodes:
            self._named[node.name or f"node_of_{node.outputs[0] if node.outputs else ''}"].append(node.ref)
        self._shared: set[str] = set()
        self._strange: set[str] = set()

    def refs(self, origins: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(ref for origin in origins for ref in self.resolve(origin)))

    def resolve(self, origin: str) -> list[str]:
        name = origin if origin in self._named else next((n for n in _holders(origin) if n in self._named), None)
        if name is None:
            self._strange.add(origin)
            return []
        if len(self._named[name]) > 1:
            self._shared.add(name)
        return self._named[name]

    def only(self, name: str) -> str:
        """The reference of the one node that the log means, "" where there is none or several."""
        refs = self.resolve(name)
        return refs[0] if len(refs) == 1 else ""

    def warnings(self) -> list[str]:
        found = [
            f"{len(self._named[name])} nodes are named {name!r}, and the compiler's log can't tell them apart"
            for name in sorted(self._shared)
        ]
        if self._strange:
            some = ", ".join(sorted(self._strange)[:3])
            found.append(f"The compiler's log names {len(self._strange)} nodes that the model doesn't have: {some}")
        return found


def _holders(origin: str) -> list[str]:
    """The possible names of the nodes that hold an inner one, the outermost last: a name may hold " | " itself."""
    parts = origin.split(" | ")
    tails = (" | ".join(parts[first:]) for first in range(1, len(parts)))
    return [re.sub(r" \([^()]*\)$", "", tail) for tail in tails]
