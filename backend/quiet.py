"""Other libraries' chatter, which is not for our users: what matters of it is in the result, or raised."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from graftwerk.backend.engines.onnxruntime import hushed


@contextmanager
def quiet() -> Iterator[None]:
    """Polygraphy, graphsurgeon and the ONNX Runtime sessions that they make write nothing to stdout or stderr."""
    from onnx_graphsurgeon.logger import G_LOGGER as surgeon
    from polygraphy.logger import G_LOGGER as polygraphy

    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        # What is critical is raised as well.
        with polygraphy.verbosity(polygraphy.CRITICAL + 1), surgeon.suppress(surgeon.CRITICAL + 1), hushed():
            yield
    finally:
        logging.disable(disabled)
