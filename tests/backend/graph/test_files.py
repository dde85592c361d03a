"""Opening and saving: nothing is lost, and what can't be opened or written ends in a Fault."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import textwrap
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph import decode as decoding
from graftwerk.backend.graph.decode import decode
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.files import external_locations, load, save, stage
from graftwerk.backend.graph.wire import prefix
from graftwerk.resources import bundled_models
from tests.backend.operations import law_models as models

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
FOUND = sorted([*SHARED.glob("models/*.onnx"), *SHARED.glob("onnx-edge/**/*.onnx")])
#: Files that hold no usable model, and what is said of them.
REFUSED = {
    "bad_graph_with_dup_value_info.onnx": "Two graph inputs have the same name",
}


def proto(path: Path) -> ModelProto:
    return onnx.load(path, load_external_data=False)


def simple(weights: int = 1000) -> ModelProto:
    """x + w → y, with a weight that is larger than a page."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"], name="add")],
        "simple",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [weights])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [weights])],
        [numpy_helper.from_array(np.arange(weights, dtype=np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def external(folder: Path, one_file: bool = True) -> Path:
    """A model with two weights in files beside it."""
    folder.mkdir(exist_ok=True)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "a"], ["m"]), helper.make_node("Mul", ["m", "b"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [64])],
        [numpy_helper.from_array(np.full(64, value, np.float32), name) for name, value in (("a", 2.0), ("b", 3.0))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "model.onnx"
    location = "weights.bin" if one_file else None
    onnx.save(model, path, save_as_external_data=True, all_tensors_to_one_file=one_file, location=location,
              size_threshold=0)  # fmt: skip
    return path


@pytest.mark.parametrize("path", [*bundled_models(), *FOUND], ids=lambda path: path.name)
def test_what_is_opened_and_saved_is_the_same(path: Path, tmp_path: Path) -> None:
    if path.name in REFUSED:
        with pytest.raises(Fault, match=REFUSED[path.name]):
            load(path)
        return
    graph = load(path)
    save(graph, tmp_path / path.name)
    assert proto(tmp_path / path.name) == proto(path)
    for location in external_locations(graph):
        assert (tmp_path / location).read_bytes() == (path.parent / location).read_bytes()


def test_the_shared_models_are_there(shared: Path) -> None:
    assert len(FOUND) > 20


@pytest.mark.parametrize("ending", [".onnxtxt", ".textproto", ".json"])
def test_text_forms(ending: str, tmp_path: Path) -> None:
    graph = models.branches()
    save(graph, tmp_path / f"model{ending}")
    again = load(tmp_path / f"model{ending}")
    save(again, tmp_path / "model.onnx")
    save(graph, tmp_path / "first.onnx")
    one, other = proto(tmp_path / "model.onnx"), proto(tmp_path / "first.onnx")
    assert [node.op_type for node in one.graph.node] == [node.op_type for node in other.graph.node]
    if ending != ".onnxtxt":  # onnx's own text form has no place for some fields
        assert one == other


@pytest.mark.parametrize("ending", [".onnxtxt", ".textproto", ".json", ".onnx"])
@pytest.mark.parametrize("content", ["", "no model at all {", "\x00\xff\x00"])
def test_text_that_is_no_model(ending: str, content: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{ending}"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(Fault, match=path.name):
        load(path)


def test_fields_that_are_not_known_are_kept(tmp_path: Path) -> None:
    model = simple()
    unknown = b"\xf2\x7d\x05hello"  # field 2014 with five bytes, which no onnx.proto has
    node = NodeProto.FromString(model.graph.node[0].SerializeToString() + unknown)
    model.graph.node[0].CopyFrom(node)
    data = model.SerializeToString() + unknown
    (tmp_path / "a.onnx").write_bytes(data)
    save(load(tmp_path / "a.onnx"), tmp_path / "b.onnx")
    assert (tmp_path / "b.onnx").read_bytes().count(b"hello") == 2


def test_a_graph_in_two_pieces_is_one(tmp_path: Path) -> None:
    """Protobuf merges a message that is written twice; a file may be two files, one behind the other."""
    whole = simple()
    first, second = ModelProto(), ModelProto()
    first.CopyFrom(whole)
    del first.graph.initializer[:]
    second.graph.initializer.extend(whole.graph.initializer)
    (tmp_path / "a.onnx").write_bytes(first.SerializeToString() + second.SerializeToString())
    save(load(tmp_path / "a.onnx"), tmp_path / "b.onnx")
    assert proto(tmp_path / "b.onnx") == whole


@pytest.mark.parametrize(
    "kind", [b"\xa0\x01\x05", b"\xa0\x01\x85\x00", b"\xa0\x81\x00\x05", b"\xa0\x81\x80\x00\x85\x80\x00"]
)
def test_bodies_are_found_however_their_type_is_encoded(kind: bytes) -> None:
    """A number may be written with more bytes than it needs; what a body reads is read by its node."""
    body = helper.make_graph([helper.make_node("Neg", ["x"], ["b"])], "body", [], [
        helper.make_tensor_value_info("b", TensorProto.FLOAT, [4])])  # fmt: skip
    attributes = []
    for name in ("then_branch", "else_branch"):
        data = onnx.AttributeProto(name=name, g=body).SerializeToString() + kind
        attributes.append(prefix(5, len(data)) + data)
    node = NodeProto(op_type="If", input=["c"], output=["y"]).SerializeToString() + b"".join(attributes)
    others = onnx.GraphProto(node=[NodeProto(op_type="Relu", input=["x"], output=[name]) for name in "rst"])
    graph = others.SerializeToString() + prefix(1, len(node)) + node
    model = ModelProto(ir_version=8, opset_import=[helper.make_opsetid("", 17)]).SerializeToString()
    opened = decode(model + prefix(7, len(graph)) + graph, None, None)
    assert opened.holders == {3}
    assert opened.consumers("x") == (0, 1, 2, 3)


@pytest.mark.parametrize("model", [models.branches, models.loop, models.dead, models.plugin, models.old_inputs])
def test_a_file_cut_short_at_any_length_is_a_fault(model: object, tmp_path: Path) -> None:
    assert callable(model)
    save(model(), tmp_path / "whole.onnx")
    data = (tmp_path / "whole.onnx").read_bytes()
    opened = []
    for length in range(len(data)):
        with suppress(Fault):  # any other exception fails the test
            opened.append(decode(data[:length], None, None))
    # The fields of a model that stand behind the graph may be missing; a graph that is cut is never taken.
    assert all(to_model(graph).graph == proto(tmp_path / "whole.onnx").graph for graph in opened)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_random_bytes_are_a_fault_or_a_graph(tmp_path: Path, data: st.DataObject) -> None:
    save(models.branches(), tmp_path / "whole.onnx")
    content = bytearray((tmp_path / "whole.onnx").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path = tmp_path / "random.onnx"
    path.write_bytes(data.draw(st.sampled_from([bytes(content), data.draw(st.binary(max_size=60))])))
    with suppress(Fault):  # any other exception fails the test
        graph = load(path)
        save(graph, tmp_path / "again.onnx")
        assert proto(tmp_path / "again.onnx") == proto(path)


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").touch()
    (tmp_path / "folder.onnx").mkdir()
    for name, said in (("empty", "empty"), ("folder", "directory"), ("missing", "No such file")):
        with pytest.raises(Fault, match=said):
            load(tmp_path / f"{name}.onnx")


@pytest.mark.parametrize("one_file", [True, False])
def test_external_data_is_not_read_and_is_copied(one_file: bool, tmp_path: Path) -> None:
    path = external(tmp_path / "a", one_file)
    graph = load(path)
    assert all(weight.external and not weight.missing for weight in graph.initializers.values())
    np.testing.assert_array_equal(graph.initializers["b"].array(), np.full(64, 3, np.float32))
    (tmp_path / "b").mkdir()
    save(graph, tmp_path / "b" / "other.onnx")
    locations = external_locations(graph)
    assert len(locations) == (1 if one_file else 2)
    for location in locations:
        assert (tmp_path / "b" / location).read_bytes() == (tmp_path / "a" / location).read_bytes()
    assert onnx.load(tmp_path / "b" / "other.onnx") == onnx.load(path)
    save(graph, tmp_path / "a" / "second.onnx")  # the same folder: the data stays where it is
    assert onnx.load(tmp_path / "a" / "second.onnx") == onnx.load(path)


def test_staging_links_external_data(tmp_path: Path) -> None:
    path = external(tmp_path / "a")
    staged = stage(load(path), tmp_path / "job" / "deep")
    assert proto(staged) == proto(path)
    again = load(staged)
    np.testing.assert_array_equal(again.initializers["a"].array(), np.full(64, 2, np.float32))
    assert os.path.samefile(staged.parent / "weights.bin", path.parent / "weights.bin")


def test_missing_external_data_opens_and_is_marked(tmp_path: Path) -> None:
    path = external(tmp_path / "a")
    (path.parent / "weights.bin").unlink()
    graph = load(path)
    assert [problem.severity for problem in graph.problems] == ["error"]
    assert graph.initializers["a"].missing
    with pytest.raises(Fault, match="missing"):
        graph.initializers["a"].array()
    (tmp_path / "b").mkdir()
    save(graph, tmp_path / "b" / "model.onnx")
    assert proto(tmp_path / "b" / "model.onnx") == proto(path)


@pytest.mark.parametrize("location", ["../outside.bin", "/etc/passwd", "a/../../b", "C:\\weights", "..\\w", ""])
def test_external_data_outside_the_folder_is_refused(location: str, tmp_path: Path) -> None:
    path = external(tmp_path / "a")
    model = proto(path)
    for weight in model.graph.initializer:
        next(entry for entry in weight.external_data if entry.key == "location").value = location
    path.write_bytes(model.SerializeToString())
    (tmp_path / "outside.bin").write_bytes(bytes(1024))
    with pytest.raises(Fault, match="outside"):
        load(path)


@pytest.mark.parametrize(("key", "value"), [("offset", "1000"), ("length", "4096"), ("offset", "-8"), ("length", "x")])
def test_external_data_past_its_file_is_refused(key: str, value: str, tmp_path: Path) -> None:
    path = external(tmp_path / "a")
    model = proto(path)
    next(entry for entry in model.graph.initializer[0].external_data if entry.key == key).value = value
    path.write_bytes(model.SerializeToString())
    with pytest.raises(Fault, match="external data"):
        load(path)


def test_external_data_that_changed_since_is_refused(tmp_path: Path) -> None:
    path = external(tmp_path / "a")
    graph = load(path)
    data = path.parent / "weights.bin"
    data.write_bytes(bytes(data.stat().st_size))
    os.utime(data, ns=(1, 1))
    with pytest.raises(Fault, match="changed"):
        graph.initializers["a"].array()
    (tmp_path / "b").mkdir()
    with pytest.raises(Fault, match="changed"):
        save(graph, tmp_path / "b" / "model.onnx")
    assert not (tmp_path / "b" / "model.onnx").exists()


def test_another_models_data_is_not_overwritten(tmp_path: Path) -> None:
    graph = load(external(tmp_path / "a"))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "weights.bin").write_bytes(b"of another model")
    with pytest.raises(Fault, match="another model"):
        save(graph, tmp_path / "b" / "model.onnx")
    assert (tmp_path / "b" / "weights.bin").read_bytes() == b"of another model"


def test_saving_over_the_opened_file_keeps_the_weights(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(simple(5000), path)
    graph = load(path)
    assert graph.initializers["w"].span is not None
    for _ in range(2):
        save(graph, path)
        np.testing.assert_array_equal(graph.initializers["w"].array(), np.arange(5000, dtype=np.float32))
        assert onnx.load(path) == simple(5000)


def test_an_edit_of_a_weight_is_saved(tmp_path: Path) -> None:
    onnx.save(simple(5000), tmp_path / "a.onnx")
    edit = Edit(load(tmp_path / "a.onnx"))
    edit.set_initializer(np.zeros(5000, np.float32), "w")
    save(edit.commit(), tmp_path / "a.onnx")
    assert not numpy_helper.to_array(onnx.load(tmp_path / "a.onnx").graph.initializer[0]).any()


def test_a_target_that_can_not_be_written(tmp_path: Path) -> None:
    graph = models.chain()
    for target in (tmp_path / "missing" / "model.onnx", tmp_path):
        with pytest.raises(Fault, match="Can't write"):
            save(graph, target)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """A process that may write no file larger than 4 KiB saves a model of 20 KB over another one."""
    old, new = tmp_path / "old.onnx", tmp_path / "new.onnx"
    onnx.save(simple(10), old)
    onnx.save(simple(5000), new)
    before = old.read_bytes()
    script = f"""
        import resource, signal
        from pathlib import Path
        from graftwerk.backend.fault import Fault
        from graftwerk.backend.graph.files import load, save
        graph = load(Path({str(new)!r}))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            save(graph, Path({str(old)!r}))
        except Fault as fault:
            print(fault.message)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    assert "Can't write: File too large" in done.stdout
    assert old.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.onnx", "old.onnx"]


def test_mode_and_link_of_the_target_are_kept(tmp_path: Path) -> None:
    real = tmp_path / "real.onnx"
    onnx.save(simple(), real)
    real.chmod(0o640)
    (tmp_path / "link.onnx").symlink_to(real)
    save(load(real), tmp_path / "link.onnx")
    assert (tmp_path / "link.onnx").is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640


def test_records_do_not_pin_the_parsed_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No message that holds the whole model is ever parsed: the largest piece is one record."""
    save(models.encoder(), tmp_path / "model.onnx")
    sizes: list[int] = []
    parsed = decoding._parsed

    def watched(kind: object, data: bytes, where: str) -> object:
        sizes.append(len(data))
        return parsed(kind, data, where)  # type: ignore[arg-type]

    monkeypatch.setattr(decoding, "_parsed", watched)
    tracemalloc.start()
    graph = load(tmp_path / "model.onnx")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(graph.nodes) > 200
    assert max(sizes) < 8192
    assert held < (tmp_path / "model.onnx").stat().st_size


def test_large_external_data_takes_no_memory(tmp_path: Path) -> None:
    path = external(tmp_path / "a")
    model = proto(path)
    size = 1 << 30
    with (path.parent / "weights.bin").open("r+b") as file:
        file.truncate(size)  # sparse: it takes no room on the disk
    weight = model.graph.initializer[0]
    weight.dims[:] = [size // 4]
    for entry in weight.external_data:
        entry.value = {"offset": "0", "length": str(size)}.get(entry.key, entry.value)
    path.write_bytes(model.SerializeToString())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    graph = load(path)
    staged = stage(graph, tmp_path / "job")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB
    assert graph.initializers["a"].nbytes == size
    assert staged.stat().st_size < 10_000
