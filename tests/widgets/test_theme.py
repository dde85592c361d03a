"""Colours read, and can be told apart; the style sheet is accepted; nothing is cut off; icons are sharp."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QSize
from PySide6.QtGui import QFontMetrics, QIcon, QPalette
from PySide6.QtWidgets import QApplication, QComboBox, QLineEdit, QPushButton, QTabBar, QToolButton
from pytestqt.logging import _QtMessageCapture
from pytestqt.qtbot import QtBot

from graftwerk import resources
from graftwerk.backend.graph.families import FAMILIES
from graftwerk.widgets.color import READABLE, contrast
from graftwerk.widgets.icons import app_icon, icon, theme_icon
from graftwerk.widgets.style_sheet import style_sheet
from graftwerk.widgets.theme import (
    DARK,
    LIGHT,
    MAIN_PRECISIONS,
    PRECISION_COLORS,
    UNKNOWN_PRECISION,
    Theme,
    apply_theme,
    mono_font,
    precision_color,
)
from tests.widgets.color_vision import difference, lab, least_difference

# CIEDE2000 is scaled so that 1 is just noticeable for large patches side by side. Marks here are a few pixels high,
# apart from each other, and matched with a legend from memory: an order of magnitude more.
DISTINCT = 12.0
# WCAG 2.1, success criterion 1.4.11: what must be seen to understand a picture, against what is next to it.
VISIBLE = 3.0

NAMES = sorted(path.stem for path in resources.icon("open").parent.glob("*.svg"))
both_themes = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)


@pytest.fixture
def dressed(qapp: QApplication) -> Iterator[QApplication]:
    """An application whose style is put back afterwards."""
    before, palette = qapp.styleSheet(), QPalette(qapp.palette())
    yield qapp
    qapp.setStyleSheet(before)
    qapp.setPalette(palette)


def test_the_colour_difference_is_the_published_one() -> None:
    """Three pairs of the test data of Sharma, Wu and Dalal (2005), and CIELAB of white."""
    assert difference((50, 2.6772, -79.7751), (50, 0, -82.7485)) == pytest.approx(2.0425, abs=1e-4)
    assert difference((50, 2.5, 0), (73, 25, -18)) == pytest.approx(27.1492, abs=1e-4)
    assert difference((50, 2.5, 0), (50, 3.2592, 0.3350)) == pytest.approx(1.0, abs=1e-4)
    assert lab("#ffffff") == pytest.approx([100, 0, 0], abs=0.02)


def test_the_main_precisions_are_told_apart_by_everybody() -> None:
    assert least_difference({name: precision_color(name) for name in MAIN_PRECISIONS})[0] >= DISTINCT


def test_so_are_all_precisions_that_do_not_share_a_colour_on_purpose() -> None:
    neutral = {"INT64", "INT32", "UINT8", "BOOL"}
    assert len({PRECISION_COLORS[name] for name in neutral}) == 1
    colors = {name: color for name, color in PRECISION_COLORS.items() if name not in neutral - {"INT64"}}
    assert least_difference(colors)[0] >= DISTINCT


def test_the_check_finds_a_pair_that_is_confused() -> None:
    """The first draft: Okabe and Ito's purple beside a blue grey is nearly one colour to a protanope."""
    least, sight, *pair = least_difference({"FP32": "#7a869a", "FP4": "#cc79a7", "INT8": "#e69f00"})
    assert least < 5
    assert (sight, set(pair)) == ("protanopia", {"FP32", "FP4"})


def test_precisions_by_name() -> None:
    assert precision_color("int8") == precision_color("INT8") == "#e69f00"
    assert precision_color("") == precision_color("COMPLEX64") == UNKNOWN_PRECISION


@both_themes
def test_texts_read_on_what_is_behind_them(theme: Theme) -> None:
    plain = [theme.window, theme.surface, theme.canvas, theme.sunken, theme.hover]
    behind = {
        theme.text: [*plain, theme.selection, theme.node, theme.notice],
        theme.muted: [*plain, theme.selection, theme.node],
        theme.faint: [theme.window, theme.surface, theme.canvas, theme.sunken],
        theme.link: [theme.window, theme.surface, theme.canvas, theme.selection],
        theme.success: [theme.window, theme.surface, theme.canvas],
        theme.warning: [theme.window, theme.surface, theme.canvas, theme.notice],
        theme.error: [theme.window, theme.surface, theme.canvas],
    }
    pairs = [(text, ground) for text, grounds in behind.items() for ground in grounds]
    pairs += [(theme.on_accent, fill) for fill in (theme.accent, theme.accent_hover, theme.accent_pressed)]
    for color in [*PRECISION_COLORS.values(), UNKNOWN_PRECISION, *theme.heat]:
        pairs += [(theme.text_on(color), color), (theme.ink(color), theme.tint(color))]
        pairs += [(theme.ink(color, theme.canvas), theme.canvas)]
    assert not [(text, ground) for text, ground in pairs if contrast(text, ground) < READABLE]


@both_themes
def test_lines_and_stripes_are_seen(theme: Theme) -> None:
    pairs = [(color, theme.node) for color in theme.families.values()]
    pairs += [(theme.edge, theme.canvas), (theme.edge_strong, theme.canvas), (theme.accent, theme.canvas)]
    assert not [pair for pair in pairs if contrast(*pair) < VISIBLE]


@both_themes
def test_every_operator_family_has_a_colour(theme: Theme) -> None:
    assert set(theme.families) == set(FAMILIES)
    assert len(set(theme.families.values())) == len(FAMILIES)
    assert theme.family("nonsense") == theme.families["other"]


@both_themes
def test_the_heat_ramp_has_one_hue_and_even_steps_of_lightness(theme: Theme) -> None:
    ramp = np.array([lab(theme.heat_color(share)) for share in np.linspace(0, 1, 33)])
    steps = np.diff(ramp[:, 0]) * (1 if theme.dark else -1)
    assert steps.min() > 0.7 * steps.mean()
    assert steps.max() < 1.3 * steps.mean()
    hues = np.degrees(np.arctan2(ramp[:, 2], ramp[:, 1]))
    assert np.ptp(hues) < 8
    assert abs(ramp[-1, 0] - lab(theme.canvas)[0]) > 60
    assert theme.heat_color(-1) == theme.heat[0]
    assert theme.heat_color(9) == theme.heat[-1]


@both_themes
def test_qt_accepts_the_style_sheet(
    theme: Theme, dressed: QApplication, qtlog: _QtMessageCapture, qtbot: QtBot
) -> None:
    def complaints() -> list[str]:
        widget = QPushButton()
        qtbot.addWidget(widget)
        widget.ensurePolished()
        return [record.message for record in qtlog.records if "stylesheet" in record.message.lower()]

    apply_theme(dressed, theme)
    assert not complaints()
    sheet = dressed.styleSheet()
    assert sheet == style_sheet(theme, dressed.font().pointSizeF())
    assert "$" not in sheet
    files = re.findall(r'url\("([^"]+)"\)', sheet)
    assert len(files) > 10
    assert all(Path(file).is_file() for file in files)
    assert dressed.palette().color(QPalette.ColorRole.Window).name() == theme.window
    dressed.setStyleSheet(sheet + "QWidget { color: ")
    assert complaints()



@both_themes
def test_no_text_is_cut_off(theme: Theme, dressed: QApplication, qtbot: QtBot) -> None:
    apply_theme(dressed, theme)
    text = "Wgjy Quantize branch"
    tabs, documents = QTabBar(), QTabBar()
    documents.setProperty("role", "documents")
    combo, plain, primary, tool = QComboBox(), QPushButton(text), QPushButton(text), QToolButton()
    primary.setProperty("primary", True)
    tool.setText(text)
    combo.addItem(text)
    for bar in (tabs, documents):
        bar.addTab(text)
        bar.addTab("other")
    for widget in (tabs, documents, combo, plain, primary, tool):
        qtbot.addWidget(widget)
        widget.ensurePolished()
        metrics = QFontMetrics(widget.font())
        size = widget.tabRect(0).size() if isinstance(widget, QTabBar) else widget.sizeHint()
        assert size.width() >= metrics.horizontalAdvance(text) + 12
        assert size.height() >= metrics.height() + 4
    assert primary.font().bold()
    edit = QLineEdit(text)
    qtbot.addWidget(edit)
    assert edit.sizeHint().height() >= QFontMetrics(edit.font()).height() + 8


def test_names_are_set_in_a_fixed_width(qapp: QApplication) -> None:
    metrics = QFontMetrics(mono_font())
    assert metrics.horizontalAdvance("iiii") == metrics.horizontalAdvance("WWWW") > 0


@pytest.mark.parametrize("name", NAMES)
def test_an_icon_is_drawn_in_its_colour_and_sharp_at_double_density(name: str, qapp: QApplication) -> None:
    made = icon(name, "#ff0000")
    for density in (1.0, 2.0):
        pixmap = made.pixmap(QSize(16, 16), density)
        assert pixmap.size() == QSize(16, 16) * density
        assert pixmap.devicePixelRatio() == density
    image = made.pixmap(QSize(24, 24), 2.0).toImage()
    pixels = [image.pixelColor(x, y) for x in range(48) for y in range(48)]
    drawn = [pixel for pixel in pixels if pixel.alpha() > 200]
    assert 20 < len(drawn) < 48 * 48 * 0.6
    if not name.startswith("style-"):
        assert all((pixel.red(), pixel.green(), pixel.blue()) == (255, 0, 0) for pixel in drawn)


def test_a_disabled_icon_is_faded_or_takes_its_own_colour(qapp: QApplication) -> None:
    def strongest(made: QIcon) -> tuple[int, str]:
        image = made.pixmap(QSize(24, 24), 1.0, QIcon.Mode.Disabled).toImage()
        pixel = max((image.pixelColor(x, y) for x in range(24) for y in range(24)), key=lambda color: color.alpha())
        return pixel.alpha(), pixel.name()

    assert strongest(theme_icon("save", LIGHT))[0] < 120
    assert strongest(icon("save", "#ff0000", "#00ff00")) == (255, "#00ff00")


def test_the_programs_mark_comes_in_every_size(qapp: QApplication) -> None:
    assert {size.width() for size in app_icon().availableSizes()} == {16, 24, 32, 48, 64, 128, 256}


def test_an_unknown_icon_is_named(qapp: QApplication) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-icon"):
        icon("no-such-icon", "#000000")
