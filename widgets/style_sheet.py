"""The one Qt style sheet of the application, written from a theme.

Widgets ask for a look by a dynamic property rather than by a style of their own:

- `QPushButton`: `primary` = true (one per view: the accent button), `flat` of Qt for a button that reads as a link
- `QLabel`: `role` = title | section | muted | success | warning | error
- `QFrame`: `role` = card (raised, rounded) | segments (holds checkable `QToolButton`s that act as one switch)
- `QLineEdit`: `role` = search
- `QTabBar`: `role` = documents (tabs of open files, above a canvas); any other tab bar is underlined
- `QToolButton`: `role` = primary

Sizes are in Qt's device-independent pixels, so they hold at any scale; text sizes follow the system's font.
Selected tabs and headers are never bold: Qt measures them in the normal weight and would cut them off.
"""

from __future__ import annotations

from string import Template
from typing import TYPE_CHECKING

from graftwerk import resources

if TYPE_CHECKING:
    from graftwerk.widgets.theme import Theme

_FRAME = """
QWidget { color: $text; }
QMainWindow, QDialog, QDockWidget, QStatusBar, QToolBar { background: $window; }
QMainWindow::separator { background: $border; width: 1px; height: 1px; }
QMainWindow::separator:hover { background: $accent; }
QSplitter::handle { background: $border; }
QSplitter::handle:horizontal { width: 1px; }
QSplitter::handle:vertical { height: 1px; }
QSplitter::handle:hover { background: $accent; }
QDockWidget { titlebar-close-icon: url("$icons/style-close.svg"); titlebar-normal-icon: url("$icons/style-float.svg"); }
QDockWidget::title { background: $window; padding: 7px 10px; border-bottom: 1px solid $border; }
QDockWidget::close-button, QDockWidget::float-button { border: none; padding: 1px; border-radius: 4px; }
QDockWidget::close-button:hover, QDockWidget::float-button:hover { background: $hover; }
QToolBar {
    border: none; border-bottom: 1px solid $border; padding: 4px 8px; spacing: 4px; qproperty-iconSize: 18px 18px;
}
QToolBar::separator { background: $border; width: 1px; margin: 5px 6px; }
QStatusBar { border-top: 1px solid $border; color: $muted; }
QStatusBar::item { border: none; }
QStatusBar QLabel { color: $muted; padding: 2px 6px; }
QToolTip { background: $surface; color: $text; border: 1px solid $border_strong; padding: 5px 8px; }
QFrame[role="card"] { background: $surface; border: 1px solid $border; border-radius: 8px; }
QFrame[role="segments"] { background: $surface; border: 1px solid $border; border-radius: 7px; }
QLabel { background: transparent; }
QLabel:disabled { color: $faint; }
QLabel[role="title"] { font-size: ${title}pt; font-weight: 600; }
QLabel[role="section"] { font-weight: 600; }
QLabel[role="muted"] { color: $muted; }
QLabel[role="success"] { color: $success; }
QLabel[role="warning"] { color: $warning; }
QLabel[role="error"] { color: $error; }
QScrollArea { border: none; background: transparent; }
QGroupBox { border: 1px solid $border; border-radius: 8px; margin-top: 1.2em; padding: 10px; }
QGroupBox::title { subcontrol-origin: margin; left: 10px; padding: 0 4px; color: $muted; }
"""

_BUTTONS = """
QPushButton {
    background: $surface; border: 1px solid $border_strong; border-radius: 6px; padding: 5px 14px; min-height: 1.25em;
}
QPushButton:hover { background: $hover; }
QPushButton:pressed { background: $sunken; border-color: $faint; }
QPushButton:focus { border-color: $accent; }
QPushButton:disabled { color: $faint; background: $window; border-color: $border; }
QPushButton:checked { background: $selection; border-color: $accent; }
QPushButton[primary="true"], QToolButton[role="primary"] {
    background: $accent; color: $on_accent; border: 1px solid $accent; font-weight: 600;
}
QPushButton[primary="true"]:hover, QToolButton[role="primary"]:hover { background: $accent_hover; }
QPushButton[primary="true"]:pressed, QToolButton[role="primary"]:pressed { background: $accent_pressed; }
QPushButton[primary="true"]:focus { border-color: $text; }
QPushButton[primary="true"]:disabled, QToolButton[role="primary"]:disabled {
    background: $sunken; color: $faint; border-color: $border;
}
QPushButton[flat="true"] { background: transparent; border-color: transparent; color: $link; padding: 5px 6px; }
QPushButton[flat="true"][menu="true"] { padding-right: 20px; }
QPushButton[flat="true"]:hover { background: $hover; }
QPushButton[flat="true"]:focus { border-color: $accent; }
QPushButton[flat="true"]:disabled { color: $faint; }
QPushButton::menu-indicator {
    image: url("$icons/style-down.svg"); width: 12px; right: 6px; subcontrol-position: right;
}
QToolButton { background: transparent; border: 1px solid transparent; border-radius: 6px; padding: 4px 6px; }
QToolButton:hover { background: $hover; }
QToolButton:pressed { background: $selection; }
QToolButton:checked { background: $selection; color: $link; }
QToolButton:focus { border-color: $accent; }
QToolButton:disabled { color: $faint; }
QToolButton[popupMode="1"] { padding-right: 20px; }
QToolButton::menu-button { border: none; width: 16px; }
QToolButton::menu-arrow { image: url("$icons/style-down.svg"); width: 12px; height: 12px; }
QToolButton::menu-indicator { image: none; }
QFrame[role="segments"] QToolButton { border-radius: 5px; padding: 4px 14px; margin: 1px; color: $muted; }
QFrame[role="segments"] QToolButton:checked { background: $selection; color: $link; }
QFrame[role="segments"] QToolButton:disabled { color: $faint; }
QCheckBox, QRadioButton { spacing: 7px; background: transparent; }
QCheckBox:disabled, QRadioButton:disabled { color: $faint; }
QCheckBox::indicator, QRadioButton::indicator, QTreeView::indicator, QTableView::indicator, QListView::indicator,
QGroupBox::indicator {
    width: 14px; height: 14px; border: 1px solid $faint; border-radius: 4px; background: $surface;
}
QRadioButton::indicator { border-radius: 8px; }
QCheckBox::indicator:hover, QRadioButton::indicator:hover, QCheckBox::indicator:focus, QRadioButton::indicator:focus {
    border-color: $accent;
}
QCheckBox::indicator:checked, QTreeView::indicator:checked, QTableView::indicator:checked,
QListView::indicator:checked, QGroupBox::indicator:checked {
    background: $accent; border-color: $accent; image: url("$icons/style-check.svg");
}
QCheckBox::indicator:indeterminate, QTreeView::indicator:indeterminate {
    background: $accent; border-color: $accent; image: url("$icons/style-dash.svg");
}
QRadioButton::indicator:checked { background: $accent; border-color: $accent; image: url("$icons/style-dot.svg"); }
QCheckBox::indicator:disabled, QRadioButton::indicator:disabled { background: $sunken; border-color: $border; }
"""

_INPUTS = """
QLineEdit, QPlainTextEdit, QTextEdit, QSpinBox, QDoubleSpinBox, QComboBox {
    background: $surface; border: 1px solid $border_strong; border-radius: 6px; padding: 4px 8px;
    selection-background-color: $accent; selection-color: $on_accent;
}
QLineEdit, QSpinBox, QDoubleSpinBox, QComboBox { min-height: 1.35em; }
QLineEdit:hover, QSpinBox:hover, QDoubleSpinBox:hover, QComboBox:hover { border-color: $faint; }
QLineEdit:focus, QPlainTextEdit:focus, QTextEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus {
    border-color: $accent;
}
QLineEdit:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled, QComboBox:disabled, QPlainTextEdit:disabled {
    color: $faint; background: $window; border-color: $border;
}
QLineEdit:read-only, QPlainTextEdit:read-only { background: $window; }
QLineEdit[invalid="true"], QSpinBox[invalid="true"], QDoubleSpinBox[invalid="true"], QComboBox[invalid="true"],
QPlainTextEdit[invalid="true"] {
    border-color: $error;
}
QLineEdit[role="search"] { border-color: $border; background: $surface; }
QLineEdit[role="search"]:focus { border-color: $accent; }
/* Qt ignores the left padding of a spin box's text, so numbers stand at the right, beside their arrows. */
QSpinBox, QDoubleSpinBox { max-width: 11em; padding-right: 2px; qproperty-alignment: "AlignRight|AlignVCenter"; }
QSpinBox::up-button, QDoubleSpinBox::up-button { subcontrol-position: top right; }
QSpinBox::down-button, QDoubleSpinBox::down-button { subcontrol-position: bottom right; }
QSpinBox::up-button, QSpinBox::down-button, QDoubleSpinBox::up-button, QDoubleSpinBox::down-button {
    subcontrol-origin: border; width: 18px; border: none; margin: 2px; border-radius: 3px; background: transparent;
}
QSpinBox::up-button:hover, QSpinBox::down-button:hover, QDoubleSpinBox::up-button:hover,
QDoubleSpinBox::down-button:hover { background: $hover; }
QSpinBox::up-arrow, QDoubleSpinBox::up-arrow { image: url("$icons/style-up.svg"); width: 10px; height: 10px; }
QSpinBox::down-arrow, QDoubleSpinBox::down-arrow { image: url("$icons/style-down.svg"); width: 10px; height: 10px; }
QComboBox { padding-right: 24px; combobox-popup: 0; }
QComboBox::drop-down { subcontrol-origin: padding; subcontrol-position: center right; width: 22px; border: none; }
QComboBox::down-arrow { image: url("$icons/style-down.svg"); width: 14px; height: 14px; }
QComboBox QAbstractItemView {
    background: $surface; border: 1px solid $border_strong; padding: 3px; outline: 0;
    selection-background-color: $selection; selection-color: $text;
}
QProgressBar {
    background: $sunken; border: none; border-radius: 3px; max-height: 6px; min-height: 6px; color: transparent;
}
QProgressBar::chunk { background: $accent; border-radius: 3px; }
QSlider::groove:horizontal { background: $border; height: 4px; border-radius: 2px; }
QSlider::sub-page:horizontal { background: $accent; border-radius: 2px; }
QSlider::handle:horizontal {
    background: $surface; border: 1px solid $border_strong; border-radius: 8px; width: 14px; height: 14px;
    margin: -6px 0;
}
QSlider::handle:horizontal:hover, QSlider::handle:horizontal:focus { border-color: $accent; }
"""

_VIEWS = """
QTreeView, QTableView, QListView {
    background: $surface; alternate-background-color: $window; border: 1px solid transparent; outline: 0;
    gridline-color: $border; selection-background-color: $selection; selection-color: $text;
}
QTreeView:focus, QTableView:focus, QListView:focus { border-color: $accent; }
QTreeView::item, QListView::item { padding: 4px 6px; }
QTableView::item { padding: 2px 8px; }
QTreeView::item:hover, QListView::item:hover, QTableView::item:hover { background: $hover; }
QTreeView::item:selected, QListView::item:selected, QTableView::item:selected { background: $selection; color: $text; }
QTreeView::branch { background: transparent; }
QTreeView::branch:selected { background: $selection; }
QTreeView::branch:hover:!selected { background: $hover; }
QTreeView::branch:has-children:closed { image: url("$icons/style-right.svg"); }
QTreeView::branch:has-children:open { image: url("$icons/style-down.svg"); }
QHeaderView {
    background: $window; border: none; qproperty-highlightSections: 0;
    qproperty-defaultAlignment: "AlignLeft|AlignVCenter";
}
QHeaderView::section {
    background: $window; color: $muted; border: none; border-bottom: 1px solid $border; padding: 5px 8px 5px 11px;
}
QHeaderView::section:hover { color: $text; background: $hover; }
QHeaderView::up-arrow, QHeaderView::down-arrow { width: 12px; height: 12px; subcontrol-position: center right; }
QHeaderView::up-arrow { image: url("$icons/style-up.svg"); }
QHeaderView::down-arrow { image: url("$icons/style-down.svg"); }
QTableCornerButton::section { background: $window; border: none; border-bottom: 1px solid $border; }
QScrollBar { background: transparent; border: none; margin: 0; }
QScrollBar:vertical { width: 11px; }
QScrollBar:horizontal { height: 11px; }
QScrollBar::handle { background: $border_strong; border-radius: 2px; margin: 2px 3px; }
QScrollBar::handle:horizontal { margin: 3px 2px; }
QScrollBar::handle:vertical { min-height: 32px; }
QScrollBar::handle:horizontal { min-width: 32px; }
QScrollBar::handle:hover { background: $faint; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; border: none; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
QAbstractScrollArea::corner { background: transparent; border: none; }
"""

_TABS_AND_MENUS = """
QTabWidget::pane { border: none; border-top: 1px solid $border; }
QTabBar { background: transparent; border: none; qproperty-drawBase: 0; }
QTabBar::tab {
    background: transparent; color: $muted; padding: 6px 10px; margin: 0 2px; border: none;
    border-bottom: 2px solid transparent;
}
QTabBar::tab:hover { color: $text; }
QTabBar::tab:selected { color: $text; border-bottom-color: $accent; }
QTabBar::tab:focus { color: $link; }
QTabBar::tab:disabled { color: $faint; }
QTabBar::tab:bottom { border-bottom: none; border-top: 2px solid transparent; }
QTabBar::tab:bottom:selected { border-top-color: $accent; }
QTabBar[role="documents"] { background: $window; }
QTabBar[role="documents"]::tab {
    padding: 7px 14px; margin: 0; border: none; border-right: 1px solid $border; border-top: 2px solid transparent;
}
QTabBar[role="documents"]::tab:selected { background: $canvas; border-top-color: $accent; }
QTabBar[role="documents"]::tab:hover:!selected { background: $hover; }
QTabBar::close-button {
    image: url("$icons/style-close.svg"); subcontrol-position: right; padding: 3px; border-radius: 4px;
}
QTabBar::close-button:hover { background: $hover; }
QTabBar QToolButton { background: $window; border: 1px solid $border; border-radius: 0; padding: 0; }
QMenuBar { background: $window; border-bottom: 1px solid $border; padding: 1px 6px; }
QMenuBar::item { padding: 4px 8px; border-radius: 5px; background: transparent; }
QMenuBar::item:selected { background: $hover; }
QMenu { background: $surface; border: 1px solid $border_strong; padding: 5px; }
QMenu::item { padding: 5px 22px 5px 10px; border-radius: 5px; border: 1px solid transparent; }
QMenu::item:selected { background: $selection; color: $text; }
QMenu::item:disabled { color: $faint; }
QMenu::item:disabled:selected { background: $hover; }
QMenu::separator { height: 1px; background: $border; margin: 5px 6px; }
QMenu::icon { padding-left: 8px; }
QMenu::right-arrow { image: url("$icons/style-right.svg"); width: 12px; height: 12px; }
QMenu::indicator { width: 14px; height: 14px; margin-left: 6px; border: 1px solid $faint; border-radius: 4px; }
QMenu::indicator:checked { background: $accent; border-color: $accent; image: url("$icons/style-check.svg"); }
"""

_SHEET = Template(_FRAME + _BUTTONS + _INPUTS + _VIEWS + _TABS_AND_MENUS)
_TITLE_SCALE = 1.3


def style_sheet(theme: Theme, points: float) -> str:
    """The style sheet of `theme` for an interface font of `points`. Raises KeyError for a colour that has no name."""
    colors = {name: value for name, value in vars(theme).items() if isinstance(value, str)}
    icons = resources.icon("style-down").parent.as_posix()
    return _SHEET.substitute(colors, icons=icons, title=round(points * _TITLE_SCALE, 1))
