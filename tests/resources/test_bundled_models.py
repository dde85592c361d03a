"""The bundled models keep what their README promises, measured on the files themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from graftwerk import resources
from graftwerk.resources import digits_network, digits_training, encoder_network, make_models

LIMIT = 2_000_000
PATHS = resources.bundled_models()


def _run(path: Path, **inputs: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, inputs)[0])


def _evaluation() -> tuple[np.ndarray, np.ndarray]:
    with np.load(resources.model("digits_eval.npz")) as data:
        return data["input"], data["label"]


def _build(path: Path, shapes: dict[str, tuple[int, ...]]) -> bytes:
    """A TensorRT-RTX engine for SM89, with one profile that holds exactly `shapes`."""
    import tensorrt_rtx as trt

    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    network = builder.create_network()
    parser = trt.OnnxParser(network, trt.Logger(trt.Logger.ERROR))
    assert parser.parse(path.read_bytes()), [parser.get_error(i).desc() for i in range(parser.num_errors)]
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM89, 0)
    profile = builder.create_optimization_profile()
    for name, shape in shapes.items():
        profile.set_shape(name, shape, shape, shape)
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    assert engine is not None
    return bytes(engine)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_bundled_model_is_small_valid_and_self_contained(path: Path) -> None:
    model = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert path.stat().st_size < LIMIT
    assert (model.ir_version, [(entry.domain, entry.version) for entry in model.opset_import]) == (8, [("", 17)])
    names = [node.name for node in model.graph.node]
    assert all(names)
    assert len(names) == len(set(names))
    assert not any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer)


def test_the_classifier_is_right_on_97_percent_of_the_held_out_images() -> None:
    images, labels = _evaluation()
    assert images.shape == (500, 1, 8, 8)
    assert set(labels.tolist()) == set(range(10))
    accuracy = (_run(resources.model("digits"), input=images).argmax(1) == labels).mean()
    assert accuracy >= make_models.LEAST_ACCURACY


def test_the_data_is_scikit_learns_and_evaluation_was_held_out() -> None:
    split = digits_training.load_split(make_models.SEED)
    images, labels = _evaluation()
    np.testing.assert_array_equal(images, split.held_out)
    np.testing.assert_array_equal(labels, split.held_out_labels)
    with np.load(resources.model("digits_calib.npz")) as data:
        assert data.files == ["input"]
        np.testing.assert_array_equal(data["input"], split.train[: make_models.CALIBRATION_IMAGES])
    assert len(split.train) + len(split.held_out) == 1797


def test_folded_and_unfolded_batch_norms_agree() -> None:
    images, _ = _evaluation()
    folded, unfolded = (_run(resources.model(name), input=images) for name in ("digits", "digits_bn"))
    np.testing.assert_allclose(folded, unfolded, atol=1e-4, rtol=0)
    kinds = [node.op_type for node in onnx.load(resources.model("digits_bn")).graph.node]
    assert kinds.count("BatchNormalization") == kinds.count("Conv") == 12


@pytest.mark.parametrize("name", ["digits", "digits_bn", "encoder"])
def test_the_script_still_makes_this_graph(name: str) -> None:
    """Same nodes, attributes, ports and initializer shapes; the encoder, which is not trained, to the last bit."""
    shipped = onnx.load(resources.model(name))
    if name == "encoder":
        assert encoder_network.export(make_models.SEED) == shipped
        return
    made = digits_network.export(digits_network.initial_weights(np.random.default_rng(0)), fold=name == "digits")
    assert list(made.graph.node) == list(shipped.graph.node)
    assert list(made.graph.input) == list(shipped.graph.input)
    assert list(made.graph.output) == list(shipped.graph.output)
    for ours, theirs in zip(made.graph.initializer, shipped.graph.initializer, strict=True):
        assert (ours.name, ours.dims, ours.data_type) == (theirs.name, theirs.dims, theirs.data_type)


def test_training_descends_the_gradient_that_differences_measure() -> None:
    """The trainer's analytic gradients equal central differences of its loss, for each kind of weight."""
    generator = np.random.default_rng(3)
    weights = {name: value.astype(np.float64) for name, value in digits_network.initial_weights(generator).items()}
    images, labels = generator.normal(size=(4, 8, 8, 1)), np.array([1, 2, 3, 4])

    def loss() -> tuple[float, digits_network.Weights]:
        trainer = digits_training.Trainer(weights)
        logits, memory = trainer.forward(images)
        chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        rows = np.arange(4)
        value = float(-np.log(chances[rows, labels]).mean())
        chances[rows, labels] -= 1
        return value, trainer.backward(chances / 4, memory)

    _, analytic = loss()
    for name in ("stem.conv.weight", "layer2.0.downsample.1.bias", "mixed.branch_pool.conv.weight", "fc.weight"):
        spot = np.unravel_index(int(np.abs(analytic[name]).argmax()), analytic[name].shape)
        step, middle, sides = 1e-5, weights[name][spot], []
        for direction in (1, -1):
            weights[name][spot] = middle + direction * step
            sides.append(loss()[0])
        weights[name][spot] = middle
        assert (sides[0] - sides[1]) / (2 * step) == pytest.approx(analytic[name][spot], rel=1e-3)


def test_the_encoder_runs_for_any_batch_and_length() -> None:
    for batch, length in ((1, 5), (3, encoder_network.POSITIONS)):
        tokens = np.arange(batch * length).reshape(batch, length) % encoder_network.VOCABULARY
        mask = np.ones((batch, length), np.int64)
        mask[:, length // 2 :] = 0
        full = _run(resources.model("encoder"), input_ids=tokens, attention_mask=mask)
        assert full.shape == (batch, length, encoder_network.HIDDEN)
        assert np.isfinite(full).all()
        half = length // 2
        short = _run(resources.model("encoder"), input_ids=tokens[:, :half], attention_mask=mask[:, :half])
        np.testing.assert_allclose(full[:, :half], short, atol=1e-4)


@pytest.mark.parametrize("name", ["digits", "digits_bn", "encoder"])
def test_tensorrt_rtx_builds_it(name: str) -> None:
    inputs: dict[str, tuple[int, ...]] = {"input": (8, 1, 8, 8)}
    if name == "encoder":
        inputs = {"input_ids": (2, 64), "attention_mask": (2, 64)}
    assert len(_build(resources.model(name), inputs)) > 100_000


def test_quantized_with_the_calibration_inputs_it_stays_right_and_builds(tmp_path: Path) -> None:
    class Images(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            with np.load(resources.model("digits_calib.npz")) as data:
                self._batches = iter(np.split(data["input"], 4))

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self._batches, None)
            return None if batch is None else {"input": batch}

    quantized = tmp_path / "digits_int8.onnx"
    quantize_static(
        resources.model("digits"), quantized, Images(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QInt8, weight_type=QuantType.QInt8, op_types_to_quantize=["Conv", "Gemm"],
        extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
    )
    images, labels = _evaluation()
    assert (_run(quantized, input=images).argmax(1) == labels).mean() >= make_models.LEAST_ACCURACY
    assert len(_build(quantized, {"input": (8, 1, 8, 8)})) > 100_000


def test_an_unknown_resource_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"models/nothing\.onnx"):
        resources.model("nothing")
    with pytest.raises(FileNotFoundError, match=r"icons/nothing\.svg"):
        resources.icon("nothing")
