"""The convolution whose maps turn with the cutout, for :mod:`galaxycnn.models.equivariant`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from galaxycnn.models.layers import PACKAGE

POSES = 8
"""The ways in which a square lies on itself: four quarter turns, and four of its mirror image."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class GroupConv2D(keras.layers.Layer):
    """A convolution that looks for each of its patterns in all eight poses: turned by quarters, and mirrored.

    A channel belongs to a pattern and a pose; the patterns in one pose follow each other. Turn or mirror the cutout,
    and the maps turn with it while the poses of each pattern change places. Which pose is which is kept for the next
    such layer, and lost in :class:`PosePooling`. Zeros are padded, no bias is added. Source: Cohen and Welling 2016,
    arXiv:1602.07576, equations 10 and 11, for the group p4m.

    Input shape (batch, height, width, channels), output shape (batch, height, width, 8 × patterns).

    Args:
        patterns: how many patterns are looked for.
        side: of the kernels in pixels, odd.
        posed: whether the channels have poses, as those of such a layer; False for pixels.

    Raises:
        ValueError: the side is even, or posed channels are no multiple of 8.

    Example:
        >>> cutouts = keras.random.normal((2, 16, 16, 3))
        >>> first, second = GroupConv2D(4, 3, posed=False), GroupConv2D(5, 3)
        >>> tuple(second(first(cutouts)).shape)
        (2, 16, 16, 40)
    """

    # Like all convolutions, for those who look at layers from outside.
    strides: ClassVar[tuple[int, int]] = (1, 1)
    dilation_rate: ClassVar[tuple[int, int]] = (1, 1)
    padding: ClassVar[str] = "same"
    data_format: ClassVar[str] = "channels_last"
    use_bias: ClassVar[bool] = False

    def __init__(self, patterns: int, side: int, posed: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if side % 2 == 0:
            raise ValueError(f"GroupConv2D: the side of a kernel must be odd, found {side}")
        self.patterns = patterns
        self.side = side
        self.posed = posed

    def build(self, input_shape: Sequence[int | None]) -> None:
        channels, poses = input_shape[-1], POSES if self.posed else 1
        if channels is None or channels % poses:
            raise ValueError(f"GroupConv2D: {channels} channels cannot be patterns in {poses} poses")
        shape = (self.side, self.side, poses, channels // poses, self.patterns)
        self.unposed = self.add_weight(shape, name="kernel")
        super().build(input_shape)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], POSES * self.patterns)

    def call(self, inputs: Any) -> Any:
        return ops.conv(inputs, self.kernel, padding=self.padding, data_format=self.data_format)

    @property
    def kernel(self) -> Any:
        """The patterns in all poses, as a convolution takes them: (side, side, channels, 8 × patterns)."""
        unposed, posed = ops.convert_to_tensor(self.unposed), []
        for pose in range(POSES):
            kernel = ops.take(unposed, _SEEN_FROM[pose], axis=2) if self.posed else unposed
            posed.append(_in_pose(ops, kernel, pose))
        side, _, poses, before, patterns = unposed.shape
        return ops.reshape(ops.stack(posed, axis=-2), (side, side, poses * before, POSES * patterns))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "patterns": self.patterns, "side": self.side, "posed": self.posed}


@keras.saving.register_keras_serializable(package=PACKAGE)
class PosePooling(keras.layers.Layer):
    """The mean of each pattern over its eight poses, which turns with the cutout and does not change otherwise.

    Input shape (batch, height, width, 8 × patterns) as of :class:`GroupConv2D`, output shape (batch, height, width,
    patterns).

    Raises:
        ValueError: the channels are no multiple of 8.

    Example:
        >>> tuple(PosePooling()(keras.ops.ones((2, 16, 16, 40))).shape)
        (2, 16, 16, 5)
    """

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.compute_output_shape(input_shape)
        super().build(input_shape)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        channels = input_shape[-1]
        if channels is None or channels % POSES:
            raise ValueError(f"PosePooling: {channels} channels cannot be patterns in {POSES} poses")
        return (*input_shape[:-1], channels // POSES)

    def call(self, inputs: Any) -> Any:
        _, height, width, channels = inputs.shape
        return ops.mean(ops.reshape(inputs, (-1, height, width, POSES, channels // POSES)), axis=-2)


def _in_pose(library: Any, square: Any, pose: int) -> Any:
    """``square``, whose first two axes are sides, in that pose; ``library`` is numpy or ``keras.ops``."""
    mirrored, quarters = divmod(pose, 4)
    square = library.flip(square, axis=1) if mirrored else square
    return library.rot90(square, quarters) if quarters else square


def _poses_seen_from_poses() -> NDArray[np.int32]:
    """In row g and column h the pose that becomes h when all is brought into pose g: g⁻¹h."""
    square = np.arange(9).reshape(3, 3)
    poses = [_in_pose(np, square, pose) for pose in range(POSES)]
    seen = np.empty((POSES, POSES), np.int32)
    for brought in range(POSES):
        for pose, shown in enumerate(poses):
            becomes = [np.array_equal(_in_pose(np, poses[before], brought), shown) for before in range(POSES)]
            seen[brought, pose] = becomes.index(True)
    return seen


_SEEN_FROM = _poses_seen_from_poses()
