"""What an installed TensorRT-RTX can be told about a build: asked of the library, never assumed from a version.

An option has a flat name: `flag.TF32`, `preview.…`, `parser.…` (booleans), `pool.WORKSPACE` (bytes), or that of a
property of the builder's configuration (`builder_optimization_level`, `tiling_optimization_level` …). What concerns
DLA is left out: TensorRT-RTX has none, although its enums still name it.

The library's module is passed in: only `tensorrt_rtx.py` imports it. Runs on Python 3.9.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graftwerk.backend.engines.rtx_refusals import LOG_PLACE
from graftwerk.backend.fault import Fault

_INTEGERS = (
    "builder_optimization_level", "max_aux_streams", "avg_timing_iterations", "l2_limit_for_tiling", "max_num_tactics",
)  # fmt: skip
_CHOICES = {
    "tiling_optimization_level": "TilingOptimizationLevel", "runtime_platform": "RuntimePlatform",
    "hardware_compatibility_level": "HardwareCompatibilityLevel",
}  # fmt: skip
#: Found by building with each: what the library only says when it fails.
_NOTES = {
    "flag.REFIT": "needs a GPU to build", "flag.REFIT_IDENTICAL": "needs a GPU to build",
    "flag.STRIP_PLAN": "needs a GPU to build",
    "flag.VERSION_COMPATIBLE": "needs the lean runtime, which TensorRT-RTX 1.7 does not bring",
}  # fmt: skip
_NO_SUCH_HARDWARE = ("DLA", "GPU_FALLBACK")


def targets(trt: Any) -> list[str]:
    """Every compute capability that the library's enum names, e.g. `sm89`; CURRENT, which needs a GPU, is not one."""
    return [name.lower() for name in trt.ComputeCapability.__members__ if name.startswith("SM")]


def describe(trt: Any, config: Any, parser: Any, complaints: Callable[[], bool]) -> list[dict[str, Any]]:
    """The options, each `{"name", "kind": bool | int | bytes | choice, "default", "choices", "note"}`.

    Every one is tried on `config` and `parser`, which are of no use afterwards; `complaints` says whether the library
    logged a warning or an error since it was last asked. (-1 shows that the library decides by itself; not all
    options that show it take it.)
    """
    found = []
    for name, kind, choices in _candidates(trt):
        default = _get(trt, config, parser, name)
        trials: list[Any] = choices or ([True] if kind == "bool" else [default, max(default, 1)])
        complaints()
        accepted = [value for value in trials if _try(trt, config, parser, name, value) and not complaints()]
        _try(trt, config, parser, name, default)  # options refuse one another
        if accepted:
            note = _NOTES.get(name, "")
            shown = accepted if choices else []
            found.append({"name": name, "kind": kind, "default": default, "choices": shown, "note": note})
    return found


def apply(trt: Any, config: Any, parser: Any, options: Mapping[str, Any]) -> None:
    """Set options on a configuration and a parser. Raises Fault for a name or a value that the library doesn't take."""
    known = {name: (kind, choices) for name, kind, choices in _candidates(trt)}
    for name, value in options.items():
        if name not in known:
            raise Fault("TensorRT-RTX has no such option", name, f"It has {', '.join(known)}.")
        kind, choices = known[name]
        wanted = {"bool": bool, "choice": str}.get(kind, int)
        if type(value) is not wanted or (choices and value not in choices):
            takes = ", ".join(choices) or f"a value of type {wanted.__name__}"
            raise Fault(f"{value!r} is not a value of this option", name, f"It takes {takes}.")
        try:
            taken = _try(trt, config, parser, name, value)
        except (TypeError, OverflowError):  # pybind's, for a number that the property's C type can't hold
            hint = "Choose a number nearer to 0."
            raise Fault(f"{value!r} is too large or too small for this option", name, hint) from None
        if not taken:
            raise Fault(f"TensorRT-RTX doesn't take {value!r}", name, f"Its reason is in the {LOG_PLACE}.")


def _candidates(trt: Any) -> list[tuple[str, str, list[str]]]:
    """Name, kind and choices of everything that the library's enums and properties suggest."""
    enums = (("flag", "BuilderFlag"), ("preview", "PreviewFeature"), ("parser", "OnnxParserFlag"))
    found: list[tuple[str, str, list[str]]] = []
    found += [(f"{prefix}.{name}", "bool", []) for prefix, enum in enums for name in _members(trt, enum)]
    found += [(f"pool.{name}", "bytes", []) for name in _members(trt, "MemoryPoolType")]
    found += [(name, "int", []) for name in _INTEGERS]
    found += [(name, "choice", _members(trt, enum)) for name, enum in _CHOICES.items()]
    found = [option for option in found if "." in option[0] or hasattr(trt.IBuilderConfig, option[0])]
    return [option for option in found if not any(word in option[0] for word in _NO_SUCH_HARDWARE)]


def _members(trt: Any, enum: str) -> list[str]:
    return list(getattr(trt, enum).__members__) if hasattr(trt, enum) else []


def _get(trt: Any, config: Any, parser: Any, name: str) -> Any:
    prefix, _, member = name.rpartition(".")
    if prefix == "flag":
        return config.get_flag(getattr(trt.BuilderFlag, member))
    if prefix == "preview":
        return config.get_preview_feature(getattr(trt.PreviewFeature, member))
    if prefix == "parser":
        return parser.get_flag(getattr(trt.OnnxParserFlag, member))
    if prefix == "pool":
        return config.get_memory_pool_limit(getattr(trt.MemoryPoolType, member))
    value = getattr(config, name)
    return value.name if name in _CHOICES else value


def _try(trt: Any, config: Any, parser: Any, name: str, value: Any) -> bool:
    """Set an option and look whether it holds: the library logs what it refuses, and raises nothing."""
    prefix, _, member = name.rpartition(".")
    if prefix == "flag":
        flag = getattr(trt.BuilderFlag, member)
        (config.set_flag if value else config.clear_flag)(flag)
    elif prefix == "preview":
        config.set_preview_feature(getattr(trt.PreviewFeature, member), value)
    elif prefix == "parser":
        (parser.set_flag if value else parser.clear_flag)(getattr(trt.OnnxParserFlag, member))
    elif prefix == "pool":
        config.set_memory_pool_limit(getattr(trt.MemoryPoolType, member), value)
    else:
        setattr(config, name, getattr(getattr(trt, _CHOICES[name]), value) if name in _CHOICES else value)
    return bool(_get(trt, config, parser, name) == value)
