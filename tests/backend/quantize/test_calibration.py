"""A calibration as a value and as a file, and TensorRT's caches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graftwerk.backend.fault import Fault
from graftwerk.backend.quantize.calibration import Calibration, differences, load
from graftwerk.backend.quantize.histogram import Observer
from graftwerk.backend.quantize.trt_cache import read_cache, write_cache


@pytest.fixture
def made() -> Calibration:
    histograms = {}
    for seed, name in enumerate(("a", "b", "zero")):
        observer = Observer()
        for batch in range(3):
            values = np.random.default_rng(seed + 10 * batch).laplace(size=5000).astype(np.float32)
            observer.add(values if name != "zero" else 0 * values)
        histograms[name] = observer.histogram()
    ops = {"a": "Conv", "b": "Relu", "zero": "Relu"}
    return Calibration(histograms, ops=ops, model="m.onnx", data="three batches", tool="by hand", samples=3)


def test_the_method_of_a_tensor_is_its_own_then_its_operators_then_the_default(made: Calibration) -> None:
    chosen = replace(made, method="max", by_op={"Relu": "mse"}, by_tensor={"zero": "entropy"})
    assert [chosen.method_of(name) for name in ("a", "b", "zero")] == ["max", "mse", "entropy"]
    assert chosen.amax("a") == made.histograms["a"].largest
    assert chosen.amax("b") != made.histograms["b"].largest
    assert chosen.scale("zero") == 0
    assert chosen.amax("nobody") is None
    assert chosen.scale("nobody") is None
    by_hand = chosen.with_given("a", 2.54)
    assert by_hand.scale("a") == pytest.approx(0.02)
    assert by_hand.scale("a", "fp8e4m3fn") == pytest.approx(2.54 / 448)


def test_a_file_holds_all_of_it(made: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "x.calibration.npz"
    chosen = Calibration(made.histograms, {"c": 1.5}, "percentile", 99.9, {"Relu": "mse"}, {"a": "max"}, made.ops,
                         "m.onnx", "data", "tool", 3)  # fmt: skip
    chosen.save(path)
    found = load(path)
    assert found.tensors == ("a", "b", "zero", "c")
    assert [found.amax(name) for name in found.tensors] == [chosen.amax(name) for name in chosen.tensors]
    assert (found.by_op, found.by_tensor, found.ops) == (chosen.by_op, chosen.by_tensor, chosen.ops)
    assert (found.model, found.data, found.tool, found.samples) == ("m.onnx", "data", "tool", 3)
    assert found.histograms["a"].peaks == made.histograms["a"].peaks
    assert not differences(found, chosen)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"{}", b"\x93NUMPY"], ids=["empty", "zip", "json", "npy"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(Fault) as caught:
        load(path)
    assert "alibration" in str(caught.value)


def test_the_differences_of_two(made: Calibration) -> None:
    other = made.with_given("a", 3 * (made.amax("a") or 0)).with_given("new", 1.0)
    found = differences(made, other)
    assert [each.tensor for each in found] == ["new", "a"]
    assert found[0].before is None
    assert found[1].ratio == pytest.approx(3)


def test_a_cache_of_tensorrts_is_read_and_written_byte_for_byte(shared: Path, tmp_path: Path) -> None:
    path = shared / "trt86-h200" / "resnet50.calibration.cache"
    ranges = read_cache(path)
    assert len(ranges) == 127
    assert ranges["input"] == pytest.approx(5.0055, rel=1e-4)
    copy = tmp_path / "copy.cache"
    write_cache(copy, ranges)
    assert copy.read_bytes() == path.read_bytes()
    assert load(path).scale("conv1.out") == pytest.approx(ranges["conv1.out"] / 127)


@pytest.mark.parametrize("line", ["input 3d216fc8", "input: xyz", "input: bd216fc8", "input: 7f800000"])
def test_damaged_caches_name_the_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "x.cache"
    path.write_text(f"TRT-8600-EntropyCalibration2\nfirst: 3d216fc8\n{line}\n")
    with pytest.raises(Fault) as caught:
        load(path)
    assert caught.value.where == "x.cache, line 3"
