"""What passes between the program and a worker process: a job one way, its events the other, a line of JSON each.

Runs on Python 3.9 with nothing but the standard library: workers beside an old TensorRT import it.

To the worker: `{"job": id, "module": where it is defined, "parameters": {...}, "folder": path}` starts a job,
`{"cancel": true}` asks the running one to stop, the end of the stream ends the process. From the worker:
`{"event": "Phase", "name": "…"}` and so on for every event below. The module is part of the message, so a worker
needs no list of jobs: it imports the module, which registers what it defines.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, TypeVar, Union

from graftwerk.backend.fault import Fault
from graftwerk.backend.jobs.context import JobContext


class Job(Protocol):
    """A frozen dataclass, registered with `@job(id)`, whose fields are JSON types.

    Sequences are tuples: every JSON array arrives in the worker as one, at any depth. Paths are absolute strings
    (a worker has a working directory of its own). `run` returns JSON types too; what is big goes into a file in
    `context.folder`, and the result names it. It raises `Fault` where the user can act, `Cancelled` once it has
    stopped because `context.cancelled()` said so.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def run(self, context: JobContext) -> dict[str, Any]: ...


J = TypeVar("J", bound=Job)
_jobs: dict[str, type[Job]] = {}


def job(job_id: str) -> Callable[[type[J]], type[J]]:
    """Register a job class under `job_id`, e.g. "build.tensorrt_rtx". Raises ValueError for an id in use elsewhere."""

    def register(cls: type[J]) -> type[J]:
        known = _jobs.get(job_id)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"job {job_id!r} is {known.__module__}.{known.__qualname__} already")
        _jobs[job_id] = cls
        cls.job_id = job_id  # type: ignore[attr-defined]
        return cls

    return register


def job_id(a_job: Job) -> str:
    """The id under which the class of `a_job` was registered."""
    return str(a_job.job_id)  # type: ignore[attr-defined]


def job_message(a_job: Job, folder: str) -> bytes:
    """The line that starts `a_job` in a worker. Raises TypeError for a parameter that is not a JSON type."""
    parameters = {field.name: getattr(a_job, field.name) for field in fields(a_job)}
    message = {"job": job_id(a_job), "module": type(a_job).__module__, "parameters": parameters, "folder": folder}
    return json.dumps(message).encode() + b"\n"


CANCEL = b'{"cancel": true}\n'


def load_job(message: Mapping[str, Any]) -> Job:
    """The job of a message. Raises Fault where this Python has no such module or the module no such job."""
    module = message["module"]
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise Fault(
            f"the worker's Python can't import {error.name}",
            where=str(message["job"]),
            hint="Install it beside that Python, or choose another one.",
        ) from error
    cls = _jobs.get(message["job"])
    if cls is None:
        raise Fault(
            f"{module} defines no job {message['job']!r}", hint="Program and worker may be of different versions."
        )
    return cls(**{name: _tuples(value) for name, value in message["parameters"].items()})


def _tuples(value: Any) -> Any:
    """JSON with tuples for arrays: what a frozen dataclass held before it was written."""
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value


class Cancelled(Exception):
    """Raised by a job that stopped because it was asked to."""


@dataclass(frozen=True)
class Started:
    """The worker process `pid` began to run the job with this id."""

    job: str
    pid: int


@dataclass(frozen=True)
class Phase:
    """The job entered this part of its work."""

    name: str


@dataclass(frozen=True)
class Progress:
    """`done` of `total`, both of them real counts."""

    done: int
    total: int


@dataclass(frozen=True)
class Log:
    """A line of the job's log; `level` is verbose, info, warning or error."""

    level: str
    text: str


@dataclass(frozen=True)
class Finished:
    """The last event of a job that did its work."""

    result: dict[str, Any]


@dataclass(frozen=True)
class Failed:
    """The last event of a job that did not.

    `where` and `hint` are a Fault's. `details` is the traceback of a defect, or the last lines that a process wrote
    before it died; a Fault has none. `cancelled` tells a job that was asked to stop from one that failed by itself,
    `settled` one that had nothing to do (see `fault.Settled`).
    """

    message: str
    where: str = ""
    hint: str = ""
    details: str = ""
    cancelled: bool = False
    settled: bool = False


@dataclass(frozen=True)
class Ready:
    """The worker is up, its libraries are loaded, it waits for a job. For the pool; never passed on."""

    pid: int
    python: str


Event = Union[Started, Phase, Progress, Log, Finished, Failed]  # evaluated, also by Python 3.9
_EVENTS: dict[str, Any] = {cls.__name__: cls for cls in (Started, Phase, Progress, Log, Finished, Failed, Ready)}


def encode(event: Event | Ready) -> bytes:
    """One line. Raises TypeError or ValueError for a result that is not JSON."""
    values = {field.name: getattr(event, field.name) for field in fields(event)}
    return json.dumps({"event": type(event).__name__, **values}).encode() + b"\n"


def decode(line: bytes) -> Event | Ready:
    """The event of a line. Raises ValueError for anything that `encode` did not write."""
    values = json.loads(line)
    if not isinstance(values, dict) or values.get("event") not in _EVENTS:
        raise ValueError("not an event")
    try:
        event: Event | Ready = _EVENTS[values.pop("event")](**values)
    except TypeError as error:
        raise ValueError(str(error)) from error
    return event
