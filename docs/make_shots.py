"""Makes the pictures of the documentation from the real window, without a display: `python3 dev.py docs-shots`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from graftwerk import resources
from graftwerk.app.unattended import quantize_layers
from graftwerk.backend.graph.files import load, save
from graftwerk.backend.operations.recipe import Recipe, replay

DOCS = Path(__file__).parent

#: Picture → arguments of `graftwerk shot` behind the model.
SHOTS = {
    "window.png": ["--overlay", "fusion", "--zoom", "1", "--select", "/layer2/layer2.0/conv2/Conv"],
    "precision-dark.png": ["--overlay", "precision", "--theme", "dark"],
    "time.png": ["--overlay", "time"],
}


def main() -> int:
    """Writes every picture. Returns the first exit code that is not 0."""
    with tempfile.TemporaryDirectory() as folder:
        digits = resources.model("digits.onnx")
        graph = load(digits)
        model = Path(folder) / "digits_int8.onnx"
        save(replay(Recipe.of(quantize_layers(graph, digits)), graph), model)
        for name, arguments in SHOTS.items():
            program = [sys.executable, "-m", "graftwerk.app.main"]
            command = [*program, "shot", str(model), "-o", str(DOCS / name), *arguments]
            print(" ".join(["graftwerk shot", name, *arguments]), flush=True)
            code = subprocess.run(command, check=False).returncode
            if code:
                return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
