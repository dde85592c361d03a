"""ONNX Runtime on the CPU: what a model computes, and how long each node takes.

The one file that imports onnxruntime, and only when asked to run something. Its times say how the model does on this
CPU; they are no estimate of a TensorRT engine's.

Runs with onnx, numpy and onnxruntime 1.21 or newer beside: older ones look for external data in the working directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx

from graftwerk.backend.engines import ort_trace
from graftwerk.backend.engines.feeds import Array, Feeds, Input, feeds
from graftwerk.backend.engines.ort_messages import fault_of, rename_nodes
from graftwerk.backend.engines.report import Profile
from graftwerk.backend.engines.source import check_values, source_of
from graftwerk.backend.fault import Fault
from graftwerk.backend.jobs.context import JobContext
from graftwerk.backend.jobs.protocol import Cancelled, job

LEVELS = {
    "off": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "full": "ORT_ENABLE_ALL",
}
TIMED_LEVELS = ("off", "basic", "extended")
# In one trace: a node of one run takes 3 kB of memory while it is recorded, and past a million nothing is.
MOST_EVENTS = 200_000
#: What can be asked of a profile. ONNX Runtime makes as many threads as it is told, however long that takes.
BOUNDS = {"iterations": (1, 10**9), "warmup": (0, 10**9), "threads": (0, 1024)}


@job("profile.onnxruntime")
@dataclass(frozen=True)
class ProfileOnnxRuntime:
    """Time a model node by node, and its latency without the profiler in a run of its own.

    `files` and `shapes` are for the inputs, see `feeds.feeds`. The nodes are timed in the graph as ONNX Runtime
    rewrites it at level `optimization`: "off" (every node as the user wrote it), "basic" or "extended"; "full" renames
    tensors, so its nodes can't be led back to the model's. The latency is that of full optimization, and beside it
    that of the timed graph. `threads` 0 is ONNX Runtime's choice. `stand_ins` are the plugin nodes whose original
    subgraph is in `model` in their place; they are only reported.

    The result is `{"profile": path of the Profile as JSON}`. Raises Fault for a model or data that can't be run, with
    the node as `where`.
    """

    model: str
    files: tuple[str, ...] = ()
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    seed: int = 0
    warmup: int = 3
    iterations: int = 20
    threads: int = 0
    optimization: str = "off"
    stand_ins: tuple[str, ...] = ()

    def run(self, context: JobContext) -> dict[str, Any]:
        if self.optimization not in TIMED_LEVELS:
            hint = f"Choose one of {', '.join(TIMED_LEVELS)}."
            raise Fault(f"nodes can't be timed at optimization {self.optimization!r}", hint=hint)
        for name, (least, most) in BOUNDS.items():
            if not least <= getattr(self, name) <= most:
                raise Fault(f"{name} can't be {getattr(self, name)}", hint=f"Choose a number from {least} to {most}.")
        context.phase("Loading the model")
        model = _Model.read(Path(self.model))
        session = model.session("full", self.threads)
        given = _feeds(model, session, self.files, self.shapes, self.seed)
        latency = self._time(context, "Measuring the latency", model, session, given.arrays, self.iterations)
        del session
        profile = self._profile(context, model, given, latency)
        path = context.folder / "profile.json"
        path.write_text(json.dumps(asdict(profile)), encoding="utf-8")
        return {"profile": str(path)}

    def _profile(self, context: JobContext, model: _Model, given: Feeds, latency: tuple[float, ...]) -> Profile:
        with TemporaryDirectory(dir=context.folder) as folder:
            executed = model.rewritten(self.optimization, Path(folder))
            name = f"Measuring the latency, optimization {self.optimization}"
            session = executed.session("off", self.threads)
            timed_latency = self._time(context, name, executed, session, given.arrays, self.iterations)
            nodes = len(executed.source.nodes)
            runs = max(1, min(self.iterations, MOST_EVENTS // max(1, nodes) - self.warmup))
            session = executed.session("off", self.threads, trace=Path(folder, "trace"))
            self._time(context, "Timing the nodes", executed, session, given.arrays, runs)
            context.phase("Reading the times")
            behind = ort_trace.behind(model.source, executed.source)
            layers = ort_trace.read_trace(Path(session.end_profiling()), runs, behind)
            del session
        ran = {ref for layer in layers for ref in layer.onnx_nodes}
        return Profile(
            backend="onnxruntime",
            version=_ort().__version__,
            device=f"CPU ({_cpu()}), {self.threads or 'default'} threads",
            iterations=runs,
            layers=layers,
            latency_milliseconds=latency,
            warnings=self._warnings(model, runs),
            stand_ins=self.stand_ins,
            inputs=given.words,
            layers_of=f"graph optimization {self.optimization}",
            latency_of="graph optimization full",
            layers_latency_milliseconds=timed_latency,
            not_run=tuple(node.ref for node in model.source.nodes if node.ref not in ran),
        )

    def _time(
        self, context: JobContext, phase: str, model: _Model, session: Any, arrays: Mapping[str, Array], runs: int
    ) -> tuple[float, ...]:
        """Milliseconds of each run, those that warm up left out."""
        context.phase(phase)
        times = []
        for number in range(self.warmup + runs):
            if context.cancelled():
                raise Cancelled
            start = time.perf_counter()
            model.run(session, None, arrays)
            times.append((time.perf_counter() - start) * 1000)
            context.progress(number + 1, self.warmup + runs)
        return tuple(times[self.warmup :])

    def _warnings(self, model: _Model, runs: int) -> tuple[str, ...]:
        found = []
        if self.optimization == "off":
            found.append("The nodes were timed one by one, unfused: they do not add up to the optimized latency.")
        if runs < self.iterations:
            found.append(f"The nodes were timed {runs} times, not {self.iterations}: the trace would be too large.")
        bodies = [node.ref for node in model.source.nodes if node.op_type in ("If", "Loop", "Scan")]
        if bodies:
            found.append(f"Nodes inside the bodies of {', '.join(bodies)} were timed as a part of these only.")
        if self.stand_ins:
            found.append(f"Plugins were not measured, their original subgraph was: {', '.join(self.stand_ins)}.")
        if model.has_half:
            found.append("On a CPU most FP16 and BF16 arithmetic is done in FP32, with casts around it.")
        return tuple(found)


@dataclass(frozen=True)
class Trial:
    """One run of a model: what it was given, what came out by name, and on what it ran at which precision."""

    given: Feeds
    outputs: dict[str, Array]
    version: str
    device: str
    precision: str


def run_trial(path: Path, files: Sequence[str], shapes: Mapping[str, Sequence[int]], seed: int) -> Trial:
    """Run a model once, optimization off, on data as `feeds.feeds` takes or makes it. Raises Fault."""
    model = _Model.read(path)
    session = model.session("off", 0)
    return _trial(model, session, _feeds(model, session, files, shapes, seed))


def run_again(path: Path, known: Feeds, seed: int) -> Trial:
    """As `run_trial`, on the data of another trial; inputs that the other model had not are random. Raises Fault."""
    model = _Model.read(path)
    session = model.session("off", 0)
    inputs = _inputs(session)
    more = feeds([each for each in inputs if each.name not in known.arrays], (), {}, seed)
    names = [each.name for each in inputs]
    arrays = {name: known.arrays.get(name, more.arrays.get(name)) for name in names}
    words = {name: known.words.get(name, more.words.get(name, "")) for name in names}
    return _trial(model, session, Feeds(arrays, words, more.assumed))


def _trial(model: _Model, session: Any, given: Feeds) -> Trial:
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, model.run(session, names, given.arrays)))
    return Trial(given, outputs, _ort().__version__, f"CPU ({_cpu()})", model.precision)


def run_model(
    model: str | Path | onnx.ModelProto,
    arrays: Mapping[str, Array],
    outputs: Sequence[str] | None = None,
    *,
    folder: Path | None = None,
    optimization: str = "off",
) -> dict[str, Array]:
    """What a model computes: the arrays of `outputs`, which may be any tensors of the main graph; its own if None.

    A ModelProto finds its external data in `folder`. With optimization off every node computes as it is written (a Q/DQ
    pair rounds where it stands). Raises Fault, with the node as `where` where one is to blame.
    """
    if isinstance(model, onnx.ModelProto):
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        loaded = _Model(copy, folder or Path())
    else:
        loaded = _Model.read(Path(model))
    session = loaded.session(optimization, 0, outputs or ())
    names = list(outputs) if outputs is not None else [output.name for output in session.get_outputs()]
    return dict(zip(names, loaded.run(session, names, arrays)))


class Runner:
    """A model that is run many times, on the data that each call gives, for some of its tensors.

    `outputs` may be any tensors of the main graph. What computes them may be fused, but not across one of them.
    """

    def __init__(
        self, model: Path | onnx.ModelProto, outputs: Sequence[str] = (), threads: int = 0,
        optimization: str = "extended", folder: Path | None = None,
    ) -> None:  # fmt: skip
        """Raises Fault where ONNX Runtime refuses the model. No `outputs` are the model's own; `threads` 0 is its own
        choice; a ModelProto, which is the caller's no more, has its external data in `folder`."""
        self._model = _Model.read(model) if isinstance(model, Path) else _Model(model, folder or Path())
        self._session = self._model.session(optimization, threads, outputs)
        self._names = list(outputs) or [output.name for output in self._session.get_outputs()]
        self.inputs = _inputs(self._session)
        self.version: str = _ort().__version__

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name. Raises Fault that names the node where it fails."""
        return dict(zip(self._names, self._model.run(self._session, self._names, arrays)))


class _Model:
    """A parsed model whose nodes are called by their references, so that what ONNX Runtime says of one finds it."""

    def __init__(self, model: onnx.ModelProto, folder: Path) -> None:
        """Renames the nodes of `model`, which is the caller's no more. External data lies in `folder`."""
        self.source = source_of(model)
        self._model = model
        self._folder = folder
        self._owners = rename_nodes(model, self.source)
        types = {tensor.data_type for tensor in model.graph.initializer}
        types |= {info.type.tensor_type.elem_type for info in model.graph.input}
        self.has_half = bool(types & {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16})

    @property
    def precision(self) -> str:
        """How ONNX Runtime computes this model on a CPU, in words."""
        found = ["FP32"]
        if any(node.op_type == "QuantizeLinear" for node in self.source.nodes):
            found.append("Q/DQ rounding as written, products of dequantized values")
        if self.has_half:
            found.append("most FP16 and BF16 arithmetic done in FP32")
        return "; ".join(found)

    @classmethod
    def read(cls, path: Path) -> _Model:
        try:
            model = onnx.load(str(path), load_external_data=False)
        except OSError as error:
            raise Fault(f"can't be read: {error.strerror}", str(path), "Does it exist, and may you read it?") from error
        except Exception as error:  # protobuf's, whose class differs between its versions
            raise Fault(f"is not an ONNX model: {error}", str(path), "Export it again.") from error
        return cls(model, _weights_folder(model, path.resolve().parent))

    def session(
        self, optimization: str, threads: int, outputs: Sequence[str] = (), trace: Path | None = None
    ) -> Any:
        """Ready to run, its outputs the model's and then those of `outputs` that are not. It is profiled if there is a
        `trace`, what that file's name begins with."""
        check_values(self.source)
        options = self._options(optimization, threads)
        if trace is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(trace)
        return self._create(options, outputs)

    def rewritten(self, optimization: str, folder: Path) -> _Model:
        """The model as ONNX Runtime rewrites it, written into `folder`: to run with optimization off, as it is.

        Even with optimization off it inlines functions and inserts casts, into nodes without names; here they get one.
        """
        options = self._options(optimization, 0)
        path = folder / "rewritten.onnx"
        options.optimized_model_filepath = str(path)
        weights = "session.optimized_model_external_initializers_"  # a model of over 2 GB can't hold its weights
        options.add_session_config_entry(weights + "file_name", "rewritten.weights")
        options.add_session_config_entry(weights + "min_size_in_bytes", "1024")
        self._create(options)
        return _Model.read(path)

    def run(self, session: Any, outputs: Sequence[str] | None, arrays: Mapping[str, Array]) -> list[Array]:
        hint = "Give data or shapes that suit the model."
        odd = next((name for name, array in arrays.items() if array.dtype.kind == "V"), None)
        if odd is not None:  # ml_dtypes' types, which ONNX Runtime's Python has no name for
            text = f"ONNX Runtime can't be given {arrays[odd].dtype} from Python"
            raise Fault(text, odd, "Keep the inputs in FP32 or FP16.")
        return list(self._faults(lambda: session.run(outputs, arrays), hint))

    def _options(self, optimization: str, threads: int) -> Any:
        ort = _ort()
        if optimization not in LEVELS:
            raise Fault(f"unknown graph optimization {optimization!r}", hint=f"Choose one of {', '.join(LEVELS)}.")
        options = ort.SessionOptions()
        options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, LEVELS[optimization])
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # fatal ones; errors are raised as well
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(self._folder))
        return options

    def _create(self, options: Any, outputs: Sequence[str] = ()) -> Any:
        model = self._model
        if outputs:
            known = {output.name for output in model.graph.output}
            model = onnx.ModelProto()
            model.CopyFrom(self._model)
            model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs if name not in known)
        content = model.SerializeToString()
        create = _ort().InferenceSession
        return self._faults(lambda: create(content, options, providers=["CPUExecutionProvider"]))

    def _faults(self, call: Callable[[], Any], hint: str = "") -> Any:
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        errors = tuple(kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception))
        try:
            return call()
        except errors as error:
            raise fault_of(str(error), self._model, self._owners, hint) from error


_NUMPY = {
    "float": "float32", "double": "float64", "float16": "float16", "string": "object", "bool": "bool",
    **{name: name for bits in (8, 16, 32, 64) for name in (f"int{bits}", f"uint{bits}")},
}  # fmt: skip


def _feeds(
    model: _Model, session: Any, files: Sequence[str], shapes: Mapping[str, Sequence[int]], seed: int
) -> Feeds:
    """Feeds that the model runs with; sizes that nobody gave are made smaller until it does."""
    inputs = _inputs(session)
    fault: Fault | None = None
    for halvings in range(8):
        given = feeds(inputs, files, shapes, seed, halvings)
        try:
            model.run(session, None, given.arrays)
        except Fault as error:
            fault = fault or error
            if given.assumed:
                continue
            raise
        return given
    raise fault or AssertionError


def _weights_folder(model: onnx.ModelProto, folder: Path) -> Path:
    """Where the external data lies: a staged model links to it, and ONNX Runtime follows no link that leads out."""
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                link = folder / entry.value
                depth = len(Path(entry.value).parts)
                return Path(os.readlink(link)).parents[depth - 1] if link.is_symlink() else folder
    return folder


def _inputs(session: Any) -> list[Input]:
    found = []
    for each in session.get_inputs():
        kind = re.fullmatch(r"tensor\((\w+)\)", each.type)
        if kind is None or kind[1] not in _NUMPY:
            hint = "Give the model an input that is a tensor of numbers, text or booleans."
            raise Fault(f"inputs of type {each.type} can't be filled", each.name, hint)
        found.append(Input(each.name, np.dtype(_NUMPY[kind[1]]), tuple(each.shape)))
    return found


def symbolic_shapes(model: onnx.ModelProto) -> tuple[onnx.ModelProto | None, str]:
    """The model with the symbolic dimensions that ONNX Runtime's tool finds, and why it did not find all, "" if it did.

    None where it found nothing. It needs sympy and takes no account of large weights: they may be absent. It follows
    the arithmetic on shapes that exporters write into a graph, which onnx's own inference gives up on.
    """
    if max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0) < 7:
        return None, "it needs opset 7"
    try:
        from onnxruntime.tools.symbolic_shape_infer import SymbolicShapeInference
    except ImportError as error:
        return None, str(error)
    try:
        # The steps of its `infer_shapes`, which writes a file into the working directory where something stays open.
        tool = SymbolicShapeInference(2**31 - 1, True, False, 0)
        tool._preprocess(model)
        complete = False
        while tool.run_:
            complete = tool._infer_impl()
        tool._update_output_from_vi()
    except Exception as error:  # the tool asserts and raises whatever it meets on models that it was not written for
        return None, f"{type(error).__name__}: {error}".strip(" :")
    return tool.out_mp_, "" if complete else "some operators are not known to it"


def _ort() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise Fault("ONNX Runtime is not installed", hint="pip install onnxruntime") from error
    if tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 21):
        raise Fault(f"ONNX Runtime {onnxruntime.__version__} is too old", hint="Install 1.21 or newer.")
    return onnxruntime


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Sessions that other libraries make here write nothing to stderr: what fails is raised as well."""
    try:
        ort = _ort()
    except Fault:
        yield  # then there are no sessions
        return
    ort.set_default_logger_severity(4)
    try:
        yield
    finally:
        ort.set_default_logger_severity(2)  # warnings, as it begins with


def _cpu() -> str:
    """What Linux calls this CPU, or its architecture."""
    import platform

    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def contrib_schemas(domain: str) -> tuple[str, list[Any]]:
    """The version of ONNX Runtime, and its schemas of a domain of operators; they have the fields of onnx's.

    Importing it takes a tenth of a second. Raises Fault where it is not installed.
    """
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state
    except ImportError as error:
        raise Fault(f"ONNX Runtime can't be imported: {error}", "", "pip install onnxruntime") from error
    return onnxruntime.__version__, [found for found in state.get_all_operator_schema() if found.domain == domain]
