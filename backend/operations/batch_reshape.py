"""The constant shape of a Reshape without the batch in it; no operation of its own."""

from __future__ import annotations

from math import prod

Sizes = tuple[int, ...]


def batch_axis(before: Sizes, after: Sizes, batch: int, trial: int) -> int | None:
    """The one axis that grew from `batch` to `trial` times something; None where it is none, or not clear."""
    if len(before) != len(after):
        return None
    grown = [axis for axis, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    clear = len(grown) == 1 and before[grown[0]] * trial == after[grown[0]] * batch
    return grown[0] if clear else None


def open_shape(
    shape: Sizes, data: Sizes, axis: int, result: Sizes, batch: int, copies: bool = True
) -> Sizes | None:
    """A Reshape's constant with which it keeps the batch apart, whatever its size; None where no constant does.

    `shape` is the constant, `data` and `result` what it takes and makes for a batch of size `batch`, which lies in
    `axis` of the data as the slowest part of that axis. Row-major order decides where it goes: to the axis of the
    result whose elements from there on are as many as those of the data from `axis` on. `copies`: a 0 in the constant
    copies a size of the data, as it does without `allowzero`.
    """
    target = _target(data, axis, result, batch)
    if target is None or (not copies and 0 in shape):
        return None
    made = list(shape)
    if made[target] == 0:
        # Copies the size of the data's axis of the same number.
        return shape if target == axis and data[axis] == result[target] else None
    if made[target] == -1:
        return shape
    if copies and target == axis and data[axis] == result[target]:
        made[target] = 0
        return tuple(made)
    # At most one may be -1: what another one stands for is known, and has no batch in it.
    made = [result[at] if size == -1 else size for at, size in enumerate(made)]
    made[target] = -1
    return tuple(made)


def _target(data: Sizes, axis: int, result: Sizes, batch: int) -> int | None:
    inner = prod(data[axis:])
    fits = [
        at for at, size in enumerate(result)
        if size and size % batch == 0 and prod(result[at:]) == inner and prod(result[:at]) == prod(data[:axis])
    ]  # fmt: skip
    own = [at for at in fits if result[at] == data[axis]]
    whole = [at for at in fits if result[at] == batch]
    # An axis of exactly the batch's size is it; beside others of size 1, the one that has the data's place.
    for choice in ([at for at in whole if at == axis], whole, [at for at in own if at == axis], own, fits):
        if choice:
            return choice[0]
    return None
