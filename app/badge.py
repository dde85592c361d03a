"""The badge of a verification: what ran, at which precision, what came of it, and what was not checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftwerk.widgets.panels.readout import backend_name

if TYPE_CHECKING:
    from graftwerk.backend.engines.report import Verification


def badge(found: Verification, stale: bool) -> str:
    """One line; `stale` where the model was edited since."""
    if not any(output.elements for output in found.outputs) and all(output.same for output in found.outputs):
        verdict = "nothing to compare: the outputs have 0 elements"
    elif all(output.identical for output in found.outputs):
        verdict = "✓ identical to the opened model"
    elif found.same:
        verdict = "✓ same as the opened model"
    else:
        worst = min((o.sqnr_db for o in found.outputs if o.sqnr_db is not None), default=None)
        verdict = "≠ differs from the opened model" + (f", SQNR {worst:.1f} dB" if worst is not None else "")
    runtime = f"{backend_name(found.backend)} {found.version}"
    return f"{verdict} · {runtime}" + (" · of an earlier revision" if stale else "")


def details(found: Verification) -> str:
    """All that is known, for the tool tip."""
    lines = [f"{backend_name(found.backend)} {found.version} on {found.device}", found.precision]
    lines.append(f"tolerance {found.relative:g} relative + {found.absolute:g}")
    for output in found.outputs[:8]:
        sqnr = f", SQNR {output.sqnr_db:.1f} dB" if output.sqnr_db is not None else ""
        lines.append(f"{output.name}: max|a−b| {output.largest:.3g} of max|a| {output.scale:.3g}{sqnr}")
    if len(found.outputs) > 8:
        lines.append(f"and {len(found.outputs) - 8} more outputs")
    lines += [f"input {name}: {words}" for name, words in list(found.inputs.items())[:8]]
    if found.stand_ins:
        lines.append(f"plugins run as their original subgraph: {', '.join(found.stand_ins[:8])}")
    lines += [f"not checked: {text}" for text in found.not_checked]
    return "\n".join(lines)
