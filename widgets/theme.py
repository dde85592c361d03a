"""Every colour of the program, in one table for light and one for dark, and how the application puts them on.

Precisions and the mark of a selection mean the same everywhere, so their colours do not depend on the theme. Sources:
FP16 and INT8 are Okabe and Ito's sky blue and orange (Color Universal Design, 2008); the other precisions were searched
near their remaining hues for the greatest least difference under normal and three kinds of colour-deficient sight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from PySide6.QtGui import QColor, QFont, QFontDatabase, QPalette
from PySide6.QtWidgets import QApplication

from graftwerk.widgets.color import contrast, mix, readable
from graftwerk.widgets.style_sheet import style_sheet

PRECISION_COLORS: Mapping[str, str] = {
    "FP32": "#7c8999",
    "FP16": "#56b4e9",
    "INT8": "#e69f00",
    "BF16": "#035695",
    "FP8": "#b33402",
    "INT4": "#32945f",
    "FP4": "#885367",
    "TF32": "#d7caaf",
    # Indices, shapes and masks: no precision in the sense of the overlay, so all the same neutral grey.
    "INT64": "#b4bcc8",
    "INT32": "#b4bcc8",
    "UINT8": "#b4bcc8",
    "BOOL": "#b4bcc8",
    "MIXED": "#8955e6",
}
"""Fill of a precision, spelled as in TensorRT's reports; the order is that of a legend."""

UNKNOWN_PRECISION = "#cdd3dc"

#: What differs between two models, by kind; Okabe and Ito's colours (Color Universal Design, 2008).
DIFFERENCE_COLORS: Mapping[str, str] = {
    "added": "#009e73", "removed": "#d55e00", "changed": "#0072b2", "moved": "#cc79a7", "renamed": "#e69f00",
}  # fmt: skip

MAIN_PRECISIONS = ("FP32", "FP16", "INT8", "BF16", "FP8", "INT4", "FP4")


def precision_color(name: str) -> str:
    """The fill of a precision ("INT8"); a pale grey where it is unknown or there is none."""
    return PRECISION_COLORS.get(name.upper(), UNKNOWN_PRECISION)


@dataclass(frozen=True)
class Theme:
    """The colours of one theme, `#rrggbb`. Texts read (contrast ≥ 4.5) on every surface that they are named with."""

    name: str
    dark: bool
    # surfaces, from the window's frame inwards
    window: str  # tool bar, docks, status bar
    surface: str  # tables, forms, menus, cards
    canvas: str  # behind the graph
    sunken: str  # chips, alternate rows, tracks
    hover: str
    selection: str  # behind a selected row
    border: str
    border_strong: str  # around what can be typed or clicked in
    # texts
    text: str
    muted: str  # second line, captions, units
    faint: str  # placeholders and disabled controls; not on `selection`
    link: str
    success: str
    warning: str
    error: str
    # accent
    accent: str
    accent_hover: str
    accent_pressed: str
    on_accent: str
    # graph
    node: str
    node_border: str
    edge: str
    edge_strong: str  # an edge that is selected or pointed at
    notice: str  # behind a warning or a Q/DQ pill
    notice_border: str
    families: Mapping[str, str]  # by family name of backend.graph.families
    heat: tuple[str, ...]  # cheap → dear, one hue, even steps of lightness

    def family(self, name: str) -> str:
        """The colour of an operator family."""
        return self.families.get(name, self.families["other"])

    def heat_color(self, share: float) -> str:
        """The heat ramp at 0…1 (values outside are clamped)."""
        place = min(max(share, 0.0), 1.0) * (len(self.heat) - 1)
        index = min(int(place), len(self.heat) - 2)
        return mix(self.heat[index], self.heat[index + 1], place - index)

    def tint(self, color: str, share: float = 0.16) -> str:
        """`color` thinned out over the canvas: the inside of a hull, a pill, a badge."""
        return mix(self.canvas, color, share)

    def ink(self, color: str, background: str | None = None) -> str:
        """A shade of `color` that reads as text on its own tint and so on the canvas, or on `background`."""
        return readable(color, background or self.tint(color), self.text)

    def text_on(self, fill: str) -> str:
        """Black or white text, whichever reads better on `fill`."""
        return max("#14181f", "#ffffff", key=lambda text: contrast(text, fill))


LIGHT = Theme(
    name="light",
    dark=False,
    window="#f6f7f9",
    surface="#ffffff",
    canvas="#ffffff",
    sunken="#eef1f5",
    hover="#e8ecf2",
    selection="#dbe7ff",
    border="#dfe3ea",
    border_strong="#b8bfcc",
    text="#1f2430",
    muted="#596275",
    faint="#666e80",
    link="#245fd6",
    success="#1f7a33",
    warning="#8a5300",
    error="#b42318",
    accent="#2f6feb",
    accent_hover="#2560d4",
    accent_pressed="#1d4fb4",
    on_accent="#ffffff",
    node="#ffffff",
    node_border="#b8bfcc",
    edge="#8b93a3",
    edge_strong="#2f6feb",
    notice="#fff5e0",
    notice_border="#e0b252",
    families={
        "compute": "#2f6fb5",
        "activation": "#3f8f3a",
        "elementwise": "#a3579a",
        "normalization": "#17857f",
        "reduction": "#8a6d1f",
        "shape": "#737d8f",
        "quantize": "#c26a00",
        "control": "#8a4b2d",
        "constant": "#8b8378",
        "plugin": "#6e4bd0",
        "io": "#3b4658",
        "other": "#7d7d7d",
    },
    heat=("#f9ebe9", "#f5d0cd", "#f1b5b0", "#ed9993", "#e77c77", "#de5f5d", "#ce4347", "#b72d36", "#9c1c28"),
)

DARK = Theme(
    name="dark",
    dark=True,
    window="#1a1d23",
    surface="#22262e",
    canvas="#1e2127",
    sunken="#2b303a",
    hover="#2b303a",
    selection="#25406f",
    border="#353b46",
    border_strong="#4d5563",
    text="#e6e9ef",
    muted="#a6aebd",
    faint="#959eae",
    link="#86b0ff",
    success="#63c178",
    warning="#e8b04b",
    error="#ff8b80",
    accent="#2f6feb",
    accent_hover="#2763dc",
    accent_pressed="#2056c4",
    on_accent="#ffffff",
    node="#2b303a",
    node_border="#4d5563",
    edge="#7d8697",
    edge_strong="#6f9dff",
    notice="#3a3020",
    notice_border="#8a6a2a",
    families={
        "compute": "#6ea8e8",
        "activation": "#76c56f",
        "elementwise": "#d391ca",
        "normalization": "#4fc0b8",
        "reduction": "#cdb04f",
        "shape": "#98a2b3",
        "quantize": "#f0a43c",
        "control": "#c98a68",
        "constant": "#a89f92",
        "plugin": "#a98bff",
        "io": "#c3cbd8",
        "other": "#9a9a9a",
    },
    heat=("#503735", "#75403d", "#9c4644", "#c04e4d", "#df5b5a", "#f3726e", "#ff8e88", "#ffada7", "#ffcbc6"),
)

THEMES: Mapping[str, Theme] = {theme.name: theme for theme in (LIGHT, DARK)}


def mono_font() -> QFont:
    """The system's fixed-width font, for names and numbers, as large as the interface's own."""
    font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
    font.setStyleHint(QFont.StyleHint.Monospace)
    font.setPointSizeF(QApplication.font().pointSizeF())
    return font


def palette(theme: Theme) -> QPalette:
    """The theme as a Qt palette, for what the style sheet does not reach (and for code that asks the palette)."""
    roles = QPalette.ColorRole
    made = QPalette()
    for role, color in {
        roles.Window: theme.window,
        roles.WindowText: theme.text,
        roles.Base: theme.surface,
        roles.AlternateBase: theme.sunken,
        roles.Text: theme.text,
        roles.PlaceholderText: theme.faint,
        roles.Button: theme.surface,
        roles.ButtonText: theme.text,
        roles.BrightText: theme.error,
        roles.ToolTipBase: theme.surface,
        roles.ToolTipText: theme.text,
        roles.Highlight: theme.accent,
        roles.HighlightedText: theme.on_accent,
        roles.Accent: theme.accent,
        roles.Link: theme.link,
        roles.LinkVisited: theme.link,
        roles.Light: theme.surface,
        roles.Midlight: theme.border,
        roles.Mid: theme.border_strong,
        roles.Dark: theme.border_strong,
        roles.Shadow: theme.border_strong,
    }.items():
        made.setColor(role, QColor(color))
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        made.setColor(QPalette.ColorGroup.Disabled, role, QColor(theme.faint))
    return made


def apply_theme(app: QApplication, theme: Theme) -> None:
    """Dress the whole application; may be called again with another theme at any time."""
    app.setStyle("Fusion")
    app.setPalette(palette(theme))
    app.setStyleSheet(style_sheet(theme, app.font().pointSizeF()))
