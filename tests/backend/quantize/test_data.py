"""Data is read sample by sample, put into batches, and refused by name where it doesn't fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from polygraphy.json import save_json

from graftwerk.backend.engines.feeds import Input
from graftwerk.backend.fault import Fault
from graftwerk.backend.quantize.data import DataOptions, Feed, batches, samples
from graftwerk.backend.quantize.images import ImageOptions

X = Input("x", np.dtype(np.float32), ("N", 2))
IMAGE = Input("image", np.dtype(np.float32), (1, 3, 8, 8))
IDS, MASK = Input("ids", np.dtype(np.int64), ("N", 3)), Input("mask", np.dtype(np.int64), ("N", 3))


def fed(inputs: list[Input], *paths: Path | str, size: int = 1, most: int = 0, **options: Any) -> list[Feed]:
    asked = DataOptions(tuple(map(str, paths)), **options)
    return list(batches(samples(asked, inputs), size, most))


def rows(count: int, start: int = 0) -> np.ndarray:
    return np.arange(start, start + 2 * count, dtype=np.float32).reshape(count, 2)


def test_files_and_folders_are_cut_into_batches(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=rows(5))
    np.save(tmp_path / "b.npy", rows(1, 10))
    np.save(tmp_path / "c.npy", rows(1, 12)[0])  # without the axis of the batch
    found = fed([X], tmp_path, size=3)
    assert [feed["x"].shape for feed in found] == [(3, 2), (3, 2), (1, 2)]
    assert np.array_equal(np.concatenate([feed["x"] for feed in found]), rows(7))
    assert sum(len(feed["x"]) for feed in fed([X], tmp_path / "a.npz", tmp_path / "b.npy", most=4)) == 4


def test_a_fixed_batch_leaves_out_what_fills_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=rows(7))
    found = fed([Input("x", np.dtype(np.float32), (3, 2))], tmp_path / "a.npz")
    assert [feed["x"].shape for feed in found] == [(3, 2), (3, 2)]


def test_folders_for_each_input_polygraphy_and_functions(tmp_path: Path) -> None:
    for name in ("ids", "mask"):
        (tmp_path / "both" / name).mkdir(parents=True)
        for at in range(2):
            np.save(tmp_path / "both" / name / f"{at}.npy", np.full(3, at, np.int64))
    assert [feed["mask"].tolist() for feed in fed([IDS, MASK], tmp_path / "both")] == [[[0, 0, 0]], [[1, 1, 1]]]
    save_json([{"x": rows(1)}, {"x": rows(1, 2)}], str(tmp_path / "saved.json"))
    assert [feed["x"].tolist() for feed in fed([X], tmp_path / "saved.json")] == [[[0, 1]], [[2, 3]]]
    code = "import numpy as np\ndef data():\n    yield from ({'x': np.full((1, 2), i, np.float32)} for i in range(3))\n"
    (tmp_path / "mine.py").write_text(code)
    assert len(fed([X], f"{tmp_path / 'mine.py'}:data")) == 3
    assert len(fed([X], random=4, shapes={"x": (2, 2)})) == 8


def test_images_as_torchvision_prepares_them(tmp_path: Path) -> None:
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[:, 40:] = (255, 128, 0)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    wanted = Input("image", np.dtype(np.float32), ("N", 3, 32, 32))
    (feed,) = fed([wanted], tmp_path / "a.png", images=ImageOptions(shorter=32))
    image = feed["image"]
    assert image.shape == (1, 3, 32, 32)
    normal = (np.array([1, 128 / 255, 0]) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert image[0, :, 16, 30] == pytest.approx(normal)
    assert image[0, 0, 16, 2] == pytest.approx(-0.485 / 0.229)

    last = Input("image", np.dtype(np.uint8), (1, 30, 40, 3))
    (feed,) = fed([last], tmp_path, images=ImageOptions("stretch", channels="BGR"))
    assert feed["image"][0, 15, 38].tolist() == [0, 128, 255]
    (feed,) = fed([wanted], tmp_path, images=ImageOptions("fit", mean=(0.0,), std=(1.0,)))
    assert feed["image"][0, 0, 0, 16] == pytest.approx(114 / 255)


@pytest.mark.parametrize(
    ("make", "inputs", "where", "message"),
    [
        (lambda path: np.savez(path / "a.npz", y=rows(1)), [X], "y", "no such input"),
        (lambda path: np.savez(path / "a.npz", ids=np.zeros((1, 3), np.int64)), [IDS, MASK], "mask", "no array for"),
        (lambda path: np.save(path / "a.npy", rows(1).astype(np.float64)), [X], "x", "is float32, the data float64"),
        (lambda path: np.save(path / "a.npy", np.zeros((1, 3), np.float32)), [X], "x", "is Nx2, the data 1x3"),
        (lambda path: np.save(path / "a.npy", np.zeros((0, 2), np.float32)), [X], "x", "empty"),
        (lambda path: np.save(path / "a.npy", rows(1)), [IDS, MASK], "a.npy", "has 2 inputs: ids, mask"),
        (lambda path: (path / "a.npy").write_bytes(b"nothing"), [X], "a.npy", "Not an array"),
        (lambda path: (path / "a.png").write_bytes(b"nothing"), [IMAGE], "a.png", "Not an image"),
        (lambda path: (path / "a.json").write_text("[1]"), [X], "a.json", "Not inputs as Polygraphy"),
        (lambda path: None, [X], "", "no data in it"),
    ],
    ids=["name", "missing", "dtype", "shape", "empty", "inputs", "npy", "png", "json", "folder"],
)  # fmt: skip
def test_data_that_doesn_t_fit_names_itself(
    tmp_path: Path, make: Any, inputs: list[Input], where: str, message: str
) -> None:
    make(tmp_path)
    with pytest.raises(Fault) as caught:
        fed(inputs, tmp_path)
    assert message in str(caught.value)
    assert where in str(caught.value)


def test_a_function_that_throws_is_told_with_its_words(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def data():\n    raise OSError('no disk')\n    yield\n")
    with pytest.raises(Fault, match=r"mine\.py:data: OSError: no disk"):
        fed([X], f"{tmp_path / 'mine.py'}:data")
