"""What the program remembers between runs: theme, layout of the window, recent files, the last choices of forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from platformdirs import user_config_path
from PySide6.QtCore import QByteArray, QSettings

RECENT = 12


class Settings:
    """An INI file in the user's configuration folder; values that can't be read count as not there."""

    def __init__(self, path: Path | None = None) -> None:
        file = path or user_config_path("graftwerk", appauthor=False) / "window.ini"
        self._store = QSettings(str(file), QSettings.Format.IniFormat)

    @property
    def dark(self) -> bool:
        return self._store.value("theme", "light") == "dark"

    @dark.setter
    def dark(self, value: bool) -> None:
        self._store.setValue("theme", "dark" if value else "light")

    @property
    def recent(self) -> list[Path]:
        """The files opened last, newest first; those that are gone are left out."""
        names = self.read("recent", [])
        return [path for name in names if isinstance(name, str) and (path := Path(name)).is_file()]

    def add_recent(self, path: Path) -> None:
        names = [str(path.resolve()), *(str(old) for old in self.recent)]
        self.write("recent", list(dict.fromkeys(names))[:RECENT])

    def read(self, key: str, default: Any) -> Any:
        """A JSON value; the default where there is none of its type."""
        try:
            value = json.loads(str(self._store.value(key)))
        except ValueError:
            return default
        return value if isinstance(value, type(default)) else default

    def write(self, key: str, value: Any) -> None:
        self._store.setValue(key, json.dumps(value))

    def bytes(self, key: str) -> QByteArray | None:
        """Qt's own record of a window, None where there is none."""
        value = self._store.value(key)
        return value if isinstance(value, QByteArray) else None

    def set_bytes(self, key: str, value: QByteArray) -> None:
        self._store.setValue(key, value)
