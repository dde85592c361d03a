"""One build by TensorRT-RTX, from the model's file to the engine's bytes and the report on them.

The library's module is passed in: only `tensorrt_rtx.py` imports it. Runs on Python 3.9.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Protocol, TextIO

from graftwerk.backend.engines import rtx_options, shapes
from graftwerk.backend.engines.report import Report
from graftwerk.backend.engines.rtx_attribution import Attribution, attribute, horizontal_fusions
from graftwerk.backend.engines.rtx_log import engine_layers, static_tensors
from graftwerk.backend.engines.rtx_refusals import Refusal, build_fault, is_noise, parser_fault
from graftwerk.backend.engines.source import SourceGraph
from graftwerk.backend.fault import Fault
from graftwerk.backend.jobs.context import JobContext
from graftwerk.backend.jobs.protocol import Cancelled


class Asked(Protocol):
    """What a build is asked for; `tensorrt_rtx.BuildRtx` says what each means."""

    @property
    def model(self) -> str: ...
    @property
    def targets(self) -> tuple[str, ...]: ...
    @property
    def profiles(self) -> tuple[dict[str, Any], ...]: ...
    @property
    def options(self) -> dict[str, Any]: ...
    @property
    def stand_ins(self) -> tuple[str, ...]: ...


class Build:
    """One build: what it was asked, and what it saw."""

    def __init__(
        self, asked: Asked, context: JobContext, trt: Any, logger: Any, source: SourceGraph, file: TextIO
    ) -> None:
        self._asked, self._context, self._trt, self._logger = asked, context, trt, logger
        self._source, self._file = source, file
        self._messages: list[str] = []
        self._errors: list[str] = []
        self._warnings: list[str] = []
        self._seconds = 0.0
        self.profiles: list[dict[str, shapes.Range]] = []

    def listen(self, level: str, text: str) -> None:
        """Take a message of the library: all go to the file, few to the program that waits."""
        self._messages.append(text)
        self._file.write(f"{text}\n" if level in ("verbose", "info") else f"[{level}] {text}\n")
        if level != "verbose" and not is_noise(text):
            self._context.log(text, level)
        if level == "error":
            self._errors.append(text)

    def plan(self) -> memoryview:
        """Parse and compile; the engine's bytes. Raises Fault and Cancelled."""
        start = time.perf_counter()
        self._context.phase("Parsing")
        builder = self._trt.Builder(self._logger)
        network = builder.create_network(0)
        parser = self._trt.OnnxParser(network, self._logger)
        config = builder.create_builder_config()
        rtx_options.apply(self._trt, config, parser, self._asked.options)
        self._set_targets(config)
        if not parser.parse_from_file(self._asked.model):
            raise parser_fault(refusals(parser), self._source)
        self._add_profiles(builder, network, config)
        config.profiling_verbosity = self._trt.ProfilingVerbosity.DETAILED  # without it the log has no layers
        config.progress_monitor = _monitor(self._trt, self._context)
        plan = builder.build_serialized_network(network, config)
        self._seconds = time.perf_counter() - start
        self._logger.spoiled = plan is None
        if self._context.cancelled():
            raise Cancelled
        if plan is None:
            raise build_fault(self._errors, self._source)
        return memoryview(plan)

    def report(self, engine_bytes: int) -> Report:
        """What the log says, in terms of the model's nodes; of nothing else where it lists no layers."""
        try:
            layers = engine_layers(self._messages)
        except ValueError as error:
            layers = []
            self._warnings.append(f"The builder's log has a form that this program doesn't know: {error}")
        if not layers:
            self._warnings.append("What became of the model's nodes is not known: no layers found in the builder's log")
            told = Attribution((), {})
        else:
            told = attribute(layers, self._source, static_tensors(self._messages))
        return Report(
            backend="tensorrt-rtx",
            version=self._trt.__version__,
            targets=tuple(dict.fromkeys(self._asked.targets)),
            seconds=self._seconds,
            engine_bytes=engine_bytes,
            layers=told.layers,
            nodes=told.nodes,
            warnings=(*self._warnings, *told.warnings),
            stand_ins=self._asked.stand_ins,
            horizontal_fusions=horizontal_fusions(told.layers, self._source),
        )

    def _set_targets(self, config: Any) -> None:
        known = rtx_options.targets(self._trt)
        wanted = list(dict.fromkeys(self._asked.targets))
        for target in wanted:
            if target not in known:
                raise Fault("TensorRT-RTX doesn't build for this target", target, f"It builds for {', '.join(known)}.")
        if not wanted:
            raise Fault("no target to build for", hint=f"Name one or more of {', '.join(known)}.")
        config.num_compute_capabilities = len(wanted)
        for number, target in enumerate(wanted):
            config.set_compute_capability(self._trt.ComputeCapability.__members__[target.upper()], number)
        if len(wanted) > 1:
            self._warnings.append(f"One engine for {', '.join(wanted)}: the compiler lists one set of layers for all")

    def _add_profiles(self, builder: Any, network: Any, config: Any) -> None:
        inputs = [network.get_input(number) for number in range(network.num_inputs)]
        symbols = dict(self._source.inputs)
        guessed = shapes.default_shapes({i.name: _dims(tuple(i.shape), symbols.get(i.name)) for i in inputs})
        asked = self._asked.profiles or ({},)
        names = {i.name for i in inputs}
        for given in asked:
            for name in given:
                if name not in names:
                    raise Fault("the model has no such input", name, f"It has {', '.join(sorted(names))}.")
            ranges = {i.name: self._range(i, given.get(i.name), guessed) for i in inputs if _is_free(i)}
            if not ranges:
                return
            self.profiles.append(ranges)
            self._add_profile(builder, config, inputs, ranges)
            for name, chosen in ranges.items():
                if name not in given:
                    self._warnings.append(f"No shapes were given: built for {shapes.format_shapes(name, chosen)}")
        if len(self.profiles) > 1:
            self._warnings.append(
                f"The engine holds every layer {len(asked)} times, once for each optimization profile; "
                "a node is shown in the layer of the first"
            )

    def _range(self, tensor: Any, given: Any, guessed: Mapping[str, shapes.Range]) -> shapes.Range:
        if tensor.is_shape_tensor:
            if given is None:
                hint = "Give them as a profile: NAME:MIN,OPT,MAX, e.g. shape:1x16,4x16,8x16."
                raise Fault("this input holds a shape, so its values must be known to build", tensor.name, hint)
            low, best, high = (tuple(values) for values in given)
            return low, best, high
        return shapes.check_range(tensor.name, given or guessed[tensor.name], tuple(tensor.shape))

    def _add_profile(self, builder: Any, config: Any, inputs: list[Any], ranges: Mapping[str, shapes.Range]) -> None:
        profile = builder.create_optimization_profile()
        for tensor in inputs:
            if tensor.name in ranges:
                is_shape = tensor.is_shape_tensor
                (profile.set_shape_input if is_shape else profile.set_shape)(tensor.name, *ranges[tensor.name])
        if config.add_optimization_profile(profile) < 0:
            raise build_fault(self._errors, self._source)


def _dims(sizes: tuple[int, ...], declared: Optional[Sequence[Any]]) -> shapes.Dims:
    """An input's dimensions as the parser knows them, with the model's symbols where they are free."""
    symbols = declared if declared is not None and len(declared) == len(sizes) else [None] * len(sizes)
    return [size if size >= 0 else symbol if isinstance(symbol, str) else None for size, symbol in zip(sizes, symbols)]


def _is_free(tensor: Any) -> bool:
    return bool(tensor.is_shape_tensor) or -1 in tuple(tensor.shape)


def refusals(parser: Any) -> list[Refusal]:
    errors = [parser.get_error(number) for number in range(parser.num_errors)]
    return [
        Refusal(e.node(), e.node_name(), e.node_operator(), tuple(e.local_function_stack()), e.desc()) for e in errors
    ]


def _monitor(trt: Any, context: JobContext) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        """Tells the outer phases of a build (the inner ones last microseconds), and asks it to stop."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._outer: set[str] = set()

        def phase_start(self, phase_name: str, parent_phase: Optional[str], num_steps: int) -> None:
            if parent_phase is None or parent_phase in self._outer:
                context.phase(phase_name)
            if parent_phase is None or phase_name == "Building engine from subgraph":
                self._outer.add(phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return not context.cancelled()

        def phase_finish(self, phase_name: str) -> None:
            pass

    return Monitor()
