"""The canvas as a picture in a file: what is in view, or the whole graph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, QSize
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtSvg import QSvgGenerator

from graftwerk.backend.fault import Fault
from graftwerk.widgets.canvas.camera import MARGIN, Camera
from graftwerk.widgets.canvas.look import Look
from graftwerk.widgets.canvas.scene import ScenePainter

if TYPE_CHECKING:
    from graftwerk.widgets.canvas.view import Canvas

#: Qt's raster engine draws nothing beyond 32767 pixels; an image of this side has room for an antialiased border.
LARGEST_SIDE = 32000
#: A PNG of more pixels needs over half a gigabyte while it is painted.
MOST_PIXELS = 140_000_000


def render_image(canvas: Canvas, whole: bool = False, scale: float = 1.0) -> QImage:
    """What is in view as it is shown, or the whole graph at 100 %, `scale` pixels per pixel.

    A graph that would be too large for an image comes out smaller.
    """
    camera = _whole(canvas) if whole else canvas.camera
    if whole:
        longest = max(camera.width, camera.height) * scale
        shrink = min(1.0, LARGEST_SIDE / longest, (MOST_PIXELS / (camera.width * camera.height * scale**2)) ** 0.5)
        camera = Camera(shrink, camera.x, camera.y, camera.width * shrink, camera.height * shrink)
    image = QImage(max(round(camera.width * scale), 1), max(round(camera.height * scale), 1),
                   QImage.Format.Format_ARGB32_Premultiplied)
    image.setDevicePixelRatio(scale)
    image.fill(QColor(canvas.theme.canvas))
    painter = QPainter(image)
    try:
        if whole:
            _plain(canvas).paint(painter, camera)
        else:
            canvas.paint(painter)
    finally:
        painter.end()
    return image


def save(canvas: Canvas, path: Path, whole: bool = True) -> None:
    """Writes an SVG or, by the ending of the name, an image. Raises Fault where that can't be done."""
    if path.suffix.lower() == ".svg":
        render_svg(canvas, path, whole)
    elif not render_image(canvas, whole, 1.0 if whole else canvas.devicePixelRatioF()).save(str(path)):
        raise Fault("The picture can't be written", str(path),
                    "The name ends in .png, .jpg or .svg; may you write there?")


def render_svg(canvas: Canvas, path: Path, whole: bool = True) -> None:
    """Every box and letter as it looks near by, whatever the zoom. Raises Fault where the file can't be written."""
    camera = _whole(canvas) if whole else canvas.camera
    generator = QSvgGenerator()
    generator.setFileName(str(path))
    generator.setTitle(path.stem)
    generator.setResolution(96)
    generator.setSize(QSize(round(camera.width), round(camera.height)))
    generator.setViewBox(QRectF(0, 0, camera.width, camera.height))
    painter = QPainter()
    if not painter.begin(generator):
        raise Fault("The drawing can't be written", str(path), "Choose a folder that you may write to")
    try:
        painter.fillRect(QRectF(0, 0, camera.width, camera.height), QColor(canvas.theme.canvas))
        _plain(canvas).paint(painter, camera, limits=False)
    finally:
        painter.end()


def _whole(canvas: Canvas) -> Camera:
    """A camera at 100 % with a view that holds the whole graph."""
    bounds = canvas.picture.bounds
    return Camera(1.0, (bounds.left + bounds.right) / 2, (bounds.top + bounds.bottom) / 2,
                  bounds.width + 2 * MARGIN, bounds.height + 2 * MARGIN)


def _plain(canvas: Canvas) -> ScenePainter:
    """The picture without selection and search results."""
    return ScenePainter(canvas.picture, Look(canvas.look.letters, canvas.look.theme, canvas.look.overlay))
