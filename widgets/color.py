"""Colours as `#rrggbb` strings: contrast, mixing, and a readable shade of any hue. No Qt."""

from __future__ import annotations

READABLE = 4.5
"""Least contrast of text with what is behind it (WCAG 2.1, success criterion 1.4.3, level AA)."""


def channels(color: str) -> tuple[int, int, int]:
    """Red, green, blue, 0…255."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def mix(color: str, other: str, share: float) -> str:
    """`color` with `share` (0…1) of `other` in it, linear in sRGB: what a translucent `other` over `color` shows."""
    pairs = zip(channels(color), channels(other), strict=True)
    return "#" + "".join(f"{round(one + (two - one) * share):02x}" for one, two in pairs)


def luminance(color: str) -> float:
    """Relative luminance, 0…1 (WCAG 2.1's definition)."""
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in channels(color))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    """Contrast ratio, 1…21 (WCAG 2.1's definition)."""
    dark, light = sorted((luminance(one), luminance(two)))
    return (light + 0.05) / (dark + 0.05)


def readable(color: str, background: str, towards: str) -> str:
    """The shade nearest to `color`, on the way to `towards`, that reads as text on `background`."""
    for percent in range(0, 100, 4):
        shade = mix(color, towards, percent / 100)
        if contrast(shade, background) >= READABLE:
            return shade
    return towards
