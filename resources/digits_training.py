"""Trains the bundled digits classifier in numpy: forward, backward, AdamW, on scikit-learn's copy of the data.

Takes about 20 s on two cores. The same seed gives the same weights on the same machine; another BLAS may sum in another
order, so elsewhere the weights differ in their last bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from graftwerk.resources.digits_network import ARCHITECTURE, EPSILON, Array, Step, Weights, initial_weights, norm_of


class Trainer:
    """Runs ARCHITECTURE forwards and backwards on batches [N, H, W, C], with Adam and batch statistics."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.trained = [name for name in weights if "running" not in name]
        self.moments = {name: (np.zeros_like(weights[name]), np.zeros_like(weights[name])) for name in self.trained}
        self.steps = 0

    def forward(self, images: Array) -> tuple[Array, dict[str, Any]]:
        """Logits [N, classes] and what each step must remember for the way back."""
        values: dict[str, Array] = {"input": images}
        memory: dict[str, Any] = {}
        for step in ARCHITECTURE:
            inputs = [values[name] for name in step.inputs]
            values[step.name], memory[step.name] = getattr(self, f"_{step.op.lower()}")(step, inputs)
        return values[ARCHITECTURE[-1].name], memory

    def backward(self, gradient: Array, memory: dict[str, Any]) -> Weights:
        """Gradients of all trained weights, given that of the logits."""
        pending: dict[str, Array] = {ARCHITECTURE[-1].name: gradient}
        found: Weights = {}
        for step in reversed(ARCHITECTURE):
            back = getattr(self, f"_{step.op.lower()}_back")
            for name, share in zip(step.inputs, back(step, pending.pop(step.name), memory[step.name], found),
                                   strict=True):
                pending[name] = pending[name] + share if name in pending else share
        return found

    def learn(self, images: Array, labels: Array, rate: float) -> float:
        """One Adam step on a batch; the mean cross-entropy before it."""
        logits, memory = self.forward(images)
        shifted = logits - logits.max(1, keepdims=True)
        chances = np.exp(shifted) / np.exp(shifted).sum(1, keepdims=True)
        rows = np.arange(len(labels))
        loss = float(-np.log(chances[rows, labels] + 1e-12).mean())
        chances[rows, labels] -= 1
        self._adam(self.backward(chances / np.float32(len(labels)), memory), rate)
        return loss

    def _adam(self, gradients: Weights, rate: float, decay: float = 1e-2) -> None:
        """AdamW (Loshchilov and Hutter, 2019): the decay acts on matrices and kernels only."""
        self.steps += 1
        rate *= np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        for name in self.trained:
            first, second = self.moments[name]
            first += 0.1 * (gradients[name] - first)
            second += 0.001 * (gradients[name] ** 2 - second)
            weight = self.weights[name]
            weight -= rate * (first / (np.sqrt(second) + 1e-8) + (decay * weight if weight.ndim > 1 else 0))

    def _conv(self, step: Step, inputs: list[Array]) -> tuple[Array, Any]:
        """Convolution as one product with unfolded windows, then batch normalization with the batch's statistics."""
        windows = _windows(inputs[0], step, 0.0)
        count, height, width = windows.shape[:3]
        kernel = self.weights[f"{step.name}.weight"]
        columns = windows.reshape(count * height * width, -1)
        raw = columns @ kernel.reshape(len(kernel), -1).T
        mean, variance = raw.mean(0), raw.var(0)
        norm = norm_of(step.name)
        for leaf, value in (("running_mean", mean), ("running_var", variance)):
            running = self.weights[f"{norm}.{leaf}"]
            running += 0.1 * (value - running)
        deviation = np.sqrt(variance + EPSILON)
        whitened = (raw - mean) / deviation
        out = whitened * self.weights[f"{norm}.weight"] + self.weights[f"{norm}.bias"]
        return out.reshape(count, height, width, -1), (inputs[0].shape, columns, whitened, deviation)

    def _conv_back(self, step: Step, gradient: Array, memory: Any, found: Weights) -> list[Array]:
        shape, columns, whitened, deviation = memory
        norm = norm_of(step.name)
        kernel = self.weights[f"{step.name}.weight"]
        flat = gradient.reshape(-1, gradient.shape[-1])
        found[f"{norm}.bias"] = flat.sum(0)
        found[f"{norm}.weight"] = (flat * whitened).sum(0)
        scaled = flat * self.weights[f"{norm}.weight"]
        raw = (scaled - scaled.mean(0) - whitened * (scaled * whitened).mean(0)) / deviation
        found[f"{step.name}.weight"] = (raw.T @ columns).reshape(kernel.shape)
        windows = (raw @ kernel.reshape(len(kernel), -1)).reshape(
            *gradient.shape[:3], kernel.shape[1], step.kernel, step.kernel
        )
        return [_fold(windows, shape, step)]

    def _maxpool(self, step: Step, inputs: list[Array]) -> tuple[Array, Any]:
        windows = _windows(inputs[0], step, -np.inf)
        flat = windows.reshape(*windows.shape[:4], -1)
        winner = flat.argmax(-1)
        return np.take_along_axis(flat, winner[..., None], -1)[..., 0], (inputs[0].shape, winner)

    def _maxpool_back(self, step: Step, gradient: Array, memory: Any, found: Weights) -> list[Array]:
        shape, winner = memory
        windows = np.zeros((*gradient.shape, step.kernel**2), np.float32)
        np.put_along_axis(windows, winner[..., None], gradient[..., None], -1)
        return [_fold(windows.reshape(*gradient.shape, step.kernel, step.kernel), shape, step)]

    def _relu(self, step: Step, inputs: list[Array]) -> tuple[Array, Any]:
        return np.maximum(inputs[0], 0), inputs[0] > 0

    def _relu_back(self, step: Step, gradient: Array, memory: Any, found: Weights) -> list[Array]:
        return [gradient * memory]

    def _add(self, step: Step, inputs: list[Array]) -> tuple[Array, Any]:
        return inputs[0] + inputs[1], None

    def _add_back(self, step: Step, gradient: Array, memory: Any, found: Weights) -> list[Array]:
        return [gradient, gradient]

    def _concat(self, step: Step, inputs: list[Array]) -> tuple[Array, Any]:
        return np.concatenate(inputs, -1), np.cumsum([value.shape[-1] for value in inputs])[:-1]

    def _concat_back(self, step: Step, gradient: Array, memory: Any, found: Weights) -> list[Array]:
        return np.split(gradient, memory, -1)

    def _globalaveragepool(self, step: Step, inputs: list[Array]) -> tuple[Array, Any]:
        return inputs[0].mean((1, 2), keepdims=True), inputs[0].shape

    def _globalaveragepool_back(self, step: Step, gradient: Array, memory: Any, found: Weights) -> list[Array]:
        return [np.broadcast_to(gradient / np.float32(memory[1] * memory[2]), memory)]

    def _flatten(self, step: Step, inputs: list[Array]) -> tuple[Array, Any]:
        return inputs[0].reshape(len(inputs[0]), -1), inputs[0].shape

    def _flatten_back(self, step: Step, gradient: Array, memory: Any, found: Weights) -> list[Array]:
        return [gradient.reshape(memory)]

    def _gemm(self, step: Step, inputs: list[Array]) -> tuple[Array, Any]:
        return inputs[0] @ self.weights[f"{step.name}.weight"].T + self.weights[f"{step.name}.bias"], inputs[0]

    def _gemm_back(self, step: Step, gradient: Array, memory: Any, found: Weights) -> list[Array]:
        found[f"{step.name}.weight"] = gradient.T @ memory
        found[f"{step.name}.bias"] = gradient.sum(0)
        return [gradient @ self.weights[f"{step.name}.weight"]]


def _windows(images: Array, step: Step, fill: float) -> Array:
    """All kernel windows of [N, H, W, C] as [N, H', W', C, k, k]; the border is `fill`."""
    border = ((0, 0), (step.pad, step.pad), (step.pad, step.pad), (0, 0))
    padded = np.pad(images, border, constant_values=fill)
    return sliding_window_view(padded, (step.kernel, step.kernel), (1, 2))[:, :: step.stride, :: step.stride]


def _fold(windows: Array, shape: tuple[int, ...], step: Step) -> Array:
    """The transpose of `_windows`: window gradients [N, H', W', C, k, k] summed into an image gradient of `shape`."""
    count, height, width, channels = shape
    pad, stride = step.pad, step.stride
    padded = np.zeros((count, height + 2 * pad, width + 2 * pad, channels), np.float32)
    rows, columns = windows.shape[1] * stride, windows.shape[2] * stride
    for row in range(step.kernel):
        for column in range(step.kernel):
            padded[:, row : row + rows : stride, column : column + columns : stride] += windows[..., row, column]
    return padded[:, pad : pad + height, pad : pad + width]


@dataclass(frozen=True)
class Split:
    """Images [N, 1, 8, 8], float32 in 0…1, and labels [N]: one part to train on, one that training never sees."""

    train: Array
    train_labels: Array
    held_out: Array
    held_out_labels: Array


def load_split(seed: int, held_out: int = 500) -> Split:
    """scikit-learn's digits (1,797 images of 8×8, values 0…16), shuffled with `seed` and split."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[:, None]
    order = np.random.default_rng(seed).permutation(len(images))
    images, labels = images[order], digits.target[order].astype(np.int64)
    return Split(images[held_out:], labels[held_out:], images[:held_out], labels[:held_out])


def train(split: Split, seed: int, epochs: int = 24, batch: int = 64, peak: float = 3e-3) -> Weights:
    """Weights after training on the split's first part: one-pixel shifts, learning rate by a half cosine."""
    generator = np.random.default_rng(seed)
    trainer = Trainer(initial_weights(generator))
    images = split.train.transpose(0, 2, 3, 1)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    batches = len(images) // batch
    for epoch in range(epochs):
        order, losses = generator.permutation(len(images)), []
        for index in range(batches):
            picked = order[index * batch : (index + 1) * batch]
            down, right = generator.integers(0, 3, 2)
            shifted = padded[picked, down : down + 8, right : right + 8]
            progress = (epoch + index / batches) / epochs
            losses.append(trainer.learn(shifted, split.train_labels[picked], peak * (1 + np.cos(np.pi * progress)) / 2))
        print(f"epoch {epoch + 1:2d}/{epochs}  loss {np.mean(losses):.4f}", flush=True)
    return trainer.weights
