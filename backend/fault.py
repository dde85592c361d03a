"""The one exception that is meant for people, and the reason why something can't be done.

Runs on Python 3.9 with nothing but the standard library: workers beside an old TensorRT import it.
"""

from __future__ import annotations

from dataclasses import dataclass


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
        return (Fault, (self.message, self.where, self.hint))


@dataclass(frozen=True)
class Reason:
    """Why an action is not possible now; shown as its tooltip, and raised as a Fault where it is forced."""

    text: str
    hint: str = ""

    def fault(self, where: str = "") -> Fault:
        return Fault(self.text, where, self.hint)
