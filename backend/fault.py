"""The one exception that is meant for people, and the reason why something can't be done.

Runs on Python 3.9 with nothing but the standard library: workers beside an old TensorRT import it.
"""

from __future__ import annotations

from dataclasses import dataclass

#: What to do about a weight whose values were stripped.
PUT_BACK = "Put the values back: Weights › Put stripped weights back (weights.put_back)"


class Fault(Exception):
    """Something the user can understand and act on: what is wrong, where, and what to try.

    Anything else that is raised is a defect of the program and is reported as such.
    """

    def __init__(self, message: str, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message

    def __reduce__(self) -> tuple[type[Fault], tuple[str, str, str]]:
        return (type(self), (self.message, self.where, self.hint))


class Settled(Fault):
    """Nothing is to be done: what was asked for holds already. A recipe goes on, a command is done."""


@dataclass(frozen=True)
class Reason:
    """Why an action is not possible now; shown as its tooltip, and raised as a Fault where it is forced. `settled`:
    because what it is to bring about holds already."""

    text: str
    hint: str = ""
    settled: bool = False

    def fault(self, where: str = "") -> Fault:
        return (Settled if self.settled else Fault)(self.text, where, self.hint)
