"""The canvas's fonts, and texts that fit: every distinct text is measured once."""

from __future__ import annotations

from PySide6.QtGui import QFont, QFontMetricsF
from PySide6.QtWidgets import QApplication

from graftwerk.widgets.theme import mono_font


class Lettering:
    """A font with the widths of the texts written in it, in scene units."""

    def __init__(self, font: QFont, pixels: float, bold: bool = False) -> None:
        self.font = QFont(font)
        self.font.setPixelSize(100)
        self.font.setBold(bold)
        # Unhinted letters keep their proportions at every zoom, so a text that fits at 100 % fits at all.
        self.font.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
        metrics = QFontMetricsF(self.font)
        self._metrics, self._scale = metrics, pixels / 100
        self.ascent, self.height = metrics.capHeight() * self._scale, metrics.height() * self._scale
        self.font.setPixelSize(max(1, round(pixels)))
        self.pixels = pixels
        self._widths: dict[str, float] = {}
        self._elided: dict[tuple[str, int], str] = {}

    def width(self, text: str) -> float:
        found = self._widths.get(text)
        if found is None:
            found = self._widths[text] = self._metrics.horizontalAdvance(text) * self._scale
        return found

    def elided(self, text: str, width: float) -> str:
        """The text, its middle left out where it is wider; nothing where not even three letters fit."""
        if self.width(text) <= width:
            return text
        key = (text, int(width))
        found = self._elided.get(key)
        if found is None:
            found = self._elided[key] = self._cut(text, width)
        return found

    def _cut(self, text: str, width: float) -> str:
        least, most = 0, len(text)
        while least < most:
            middle = (least + most + 1) // 2
            if self.width(shortened(text, middle)) <= width:
                least = middle
            else:
                most = middle - 1
        return shortened(text, least) if least >= 3 else ""


def shortened(text: str, keep: int) -> str:
    """`keep` letters of a text, from both ends."""
    if keep >= len(text):
        return text
    tail = keep // 2
    return f"{text[: keep - tail]}…{text[len(text) - tail :] if tail else ''}"


class Letterings:
    """All fonts of the canvas; made once there is an application."""

    def __init__(self) -> None:
        plain, mono = QApplication.font(), mono_font()
        self.title = Lettering(plain, 13, bold=True)
        self.pill = Lettering(plain, 12, bold=True)
        self.badge = Lettering(plain, 11, bold=True)
        self.text = Lettering(plain, 12)
        self.name = Lettering(mono, 11)
        self.small = Lettering(mono, 10)
