"""Images as a model's input: resized, cropped, normalized, in the layout of the input."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from graftwerk.backend.engines.feeds import Array, Input
from graftwerk.backend.fault import Fault

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff")
Resize = Literal["stretch", "crop", "fit"]


@dataclass(frozen=True)
class ImageOptions:
    """`resize`: stretch to the input's size; crop: the shorter side to `shorter` pixels (0: to the input's size), then
    the middle; fit: the longer side to the input's size, the rest filled with `fill`. Then value * `factor`, minus
    `mean`, by `std`, for each channel in the order of `channels`.

    The defaults are those of torchvision's ImageNet models.
    """

    resize: Resize = "crop"
    shorter: int = 256
    size: tuple[int, int] = (224, 224)  # height and width, where the input's are free
    factor: float = 1 / 255
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    channels: Literal["RGB", "BGR"] = "RGB"
    fill: int = 114


def read_image(path: Path, wanted: Input, options: ImageOptions) -> Array:
    """One image in the shape of an input: (1, C, H, W) or (1, H, W, C), C 1 or 3.

    Raises Fault for a file that is no image, and an input that takes none.
    """
    from PIL import Image, UnidentifiedImageError

    count, height, width, last = _form(wanted, options)
    try:
        with Image.open(path) as image:
            pixels = _resized(image.convert("L" if count == 1 else "RGB"), height, width, options)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise Fault(f"Not an image: {error}", str(path)) from None
    values = np.asarray(pixels, np.float32).reshape(height, width, count)
    if options.channels == "BGR" and count == 3:
        values = values[..., ::-1]
    mean, std = (_per_channel(value, count, wanted) for value in (options.mean, options.std))
    if wanted.dtype.kind in "iu":
        return np.ascontiguousarray(_layout(values, last)).astype(wanted.dtype)[None]
    values = (values * options.factor - mean) / std
    return np.ascontiguousarray(_layout(values, last)).astype(wanted.dtype)[None]


def _layout(values: Array, last: bool) -> Array:
    return values if last else values.transpose(2, 0, 1)


def _per_channel(values: tuple[float, ...], count: int, wanted: Input) -> Array:
    if len(values) not in (1, count):
        if count == 1:
            return np.array([np.mean(values)], np.float32)
        raise Fault(f"{len(values)} means or deviations for {count} channels", wanted.name, "Give one, or one for each")
    return np.array(values, np.float32)


def _form(wanted: Input, options: ImageOptions) -> tuple[int, int, int, bool]:
    """Channels, height, width, and whether the channels stand last."""
    dims = wanted.dims
    if dims is None or len(dims) != 4:
        raise Fault("This input takes no images: they have four dimensions", wanted.name, "Give arrays: .npy, .npz")
    last = dims[3] in (1, 3) and dims[1] not in (1, 3)
    count, height, width = (dims[3], dims[1], dims[2]) if last else (dims[1], dims[2], dims[3])
    if count not in (1, 3):
        raise Fault(f"This input has {count} channels; images have 1 or 3", wanted.name, "Give arrays: .npy, .npz")
    high = height if isinstance(height, int) else options.size[0]
    wide = width if isinstance(width, int) else options.size[1]
    return int(count), high, wide, last


def _resized(image: Any, height: int, width: int, options: ImageOptions) -> Any:
    from PIL import Image

    if options.resize == "stretch":
        return image.resize((width, height), Image.Resampling.BILINEAR)
    wide, high = image.size
    if options.resize == "fit":
        ratio = min(width / wide, height / high)
        small = image.resize((max(1, round(wide * ratio)), max(1, round(high * ratio))), Image.Resampling.BILINEAR)
        padded = Image.new(image.mode, (width, height), options.fill if image.mode == "L" else (options.fill,) * 3)
        padded.paste(small, ((width - small.width) // 2, (height - small.height) // 2))
        return padded
    shorter = max(options.shorter or min(width, height), min(width, height))
    ratio = max(shorter / min(wide, high), width / wide, height / high)
    image = image.resize((max(width, round(wide * ratio)), max(height, round(high * ratio))), Image.Resampling.BILINEAR)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
