"""2:4 sparsity: what satisfies it, what pruning changes, and a build that is told of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.engine_jobs import BuildSettings, build_job
from graftwerk.backend.engines.report_file import read_report
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.jobs.pool import run_here
from graftwerk.backend.operations.registry import apply, make, why_blocked
from graftwerk.backend.pruning.sensitivity import read_errors, relative_error, sensitivity_job
from graftwerk.backend.pruning.sparsity import layer_weights, pruned, sparsity_of, uneven_channels
from tests.backend.operations.law_models import digits, digits_bn, small

TEXT = "g (float[2,8] x) => (float[2,3] y) <float[8,3] w = {WWW}> { y = MatMul(x, w) }"
GEMM = "g (float[2,8] x) => (float[2,3] y) <float[3,8] w = {WWW}> { y = Gemm<transB = 1>(x, w) }"


def with_values(text: str, values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]):  # type: ignore[no-untyped-def]
    graph = small(text.replace("WWW", ",".join(["1"] * 24)))
    edit = Edit(graph)
    edit.set_initializer(values.astype(np.float32), "w")
    return edit.commit()


def test_it_is_along_what_is_summed_over() -> None:
    values = np.tile(np.array([[1.0, 0, 0, 2, 0, 3, 4, 0]]), (3, 1))
    for text, given in ((TEXT, values.T), (GEMM, values)):
        graph = with_values(text, given)
        found = [sparsity_of(graph, layer) for layer in layer_weights(graph)]
        assert [each.satisfied for each in found] == [True]
        assert found[0].groups == 6
    across = with_values(GEMM, values[:, [0, 3, 5, 1, 6, 2, 4, 7]])
    assert not sparsity_of(across, next(layer_weights(across))).satisfied


def test_the_smallest_two_go_and_the_error_is_what_was_said() -> None:
    values = np.random.default_rng(0).standard_normal((6, 8, 3, 3)).astype(np.float32)
    made = pruned(values, 1)
    fours = np.abs(np.moveaxis(values, 1, -1).reshape(-1, 4))
    left = np.abs(np.moveaxis(made, 1, -1).reshape(-1, 4))
    assert (np.count_nonzero(left, axis=1) == 2).all()
    assert np.allclose(np.sort(left, axis=1)[:, 2:], np.sort(fours, axis=1)[:, 2:])
    graph = digits()
    made_graph = apply(make("weights.prune_2_4", {}), graph)
    for layer in layer_weights(graph):
        told = sparsity_of(graph, layer)
        if told.reason:
            continue
        old, new = (g.initializers[layer.weight.name].array().astype(np.float64) for g in (graph, made_graph))
        assert told.error == pytest.approx(np.linalg.norm(old - new) / np.linalg.norm(old), rel=1e-5)
        after = next(each for each in layer_weights(made_graph) if each.node == layer.node)
        assert sparsity_of(made_graph, after).satisfied


def test_why_not() -> None:
    reason = why_blocked(make("weights.prune_2_4", {"nodes": ["/stem/conv/Conv"]}), digits())
    assert reason is not None
    assert "no multiple of 4" in reason.text


def test_uneven_channels() -> None:
    found = {node: missed for node, _, _, missed in uneven_channels(digits())}
    assert found["/stem/conv/Conv"] == (8, 32, 64)  # one channel in
    assert all(32 in missed for node, missed in found.items() if 8 in missed)


def test_a_build_takes_the_sparse_flag(tmp_path: Path) -> None:
    made = apply(make("weights.prune_2_4", {}), digits())
    settings = BuildSettings(options={"flag.SPARSE_WEIGHTS": True})
    result = run_here(build_job(made, tmp_path, settings), tmp_path, lambda event: None)
    assert read_report(Path(result["report"])).layers


def test_sensitivity_prunes_one_group_at_a_time(tmp_path: Path) -> None:
    graph = digits_bn()
    job = sensitivity_job(graph, tmp_path, ratio=0.5, multiple=8)
    found = read_errors(run_here(job, tmp_path, lambda event: None))
    open_groups = [each for each in found if not each.frozen and each.left < each.channels]
    assert len(open_groups) >= 3
    assert all(0 < each.error < 10 and each.bytes_saved > 0 and each.left % 8 == 0 for each in open_groups)
    assert any("output" in each.frozen for each in found)


def test_relative_error() -> None:
    one = {"y": np.array([3.0, 4.0], np.float32)}
    assert relative_error(one, {"y": np.array([3.0, 4.5], np.float32)}) == pytest.approx(0.1)
    assert relative_error(one, {"y": np.array([3.0], np.float32)}) == float("inf")
