"""Makes everything in resources/models: `python -m graftwerk.resources.make_models [FOLDER]`, about half a minute.

Needs scikit-learn (in the `dev` extra). The exported classifier is measured on images that training never saw; below
97 % nothing is written.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from graftwerk.resources import digits_network, digits_training, encoder_network

SEED = 2024
CALIBRATION_IMAGES = 256
LEAST_ACCURACY = 0.97


def main(folder: Path) -> None:
    """Train, measure and write the models and their data into `folder`."""
    split = digits_training.load_split(SEED)
    weights = digits_training.train(split, SEED)
    models = {
        "digits": digits_network.export(weights, fold=True),
        "digits_bn": digits_network.export(weights, fold=False),
        "encoder": encoder_network.export(SEED),
    }
    for model in models.values():
        onnx.checker.check_model(model, full_check=True)
    accuracy = measure(models["digits"], split.held_out, split.held_out_labels)
    print(f"digits: {accuracy:.1%} of {len(split.held_out)} held-out images")
    if accuracy < LEAST_ACCURACY:
        raise SystemExit(f"the classifier reached only {accuracy:.1%}; nothing was written")
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in models.items():
        onnx.save(model, folder / f"{name}.onnx")
    np.savez_compressed(folder / "digits_calib.npz", input=split.train[:CALIBRATION_IMAGES])
    np.savez_compressed(folder / "digits_eval.npz", input=split.held_out, label=split.held_out_labels)


def measure(model: onnx.ModelProto, images: digits_network.Array, labels: digits_network.Array) -> float:
    """The share of `images` [N, 1, 8, 8] that the model gives their label."""
    (logits,) = ReferenceEvaluator(model).run(None, {"input": images})
    return float((np.argmax(logits, 1) == labels).mean())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "models")
