"""Convolutions whose maps turn with the cutout or are mirrored with it, and what follows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from galaxycnn.models.layers import BATCH_NORM_MOMENTUM, PACKAGE

POSES = 8
"""The ways in which a square lies on itself: four quarter turns, and four of its mirror image."""
MIRRORED = 2
"""The ways in which a strip lies on itself when it may be mirrored alone."""
_GROUPS = {POSES: tuple(range(POSES)), MIRRORED: (0, 4)}
"""Which of the eight poses there are, by their number."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class GroupConv2D(keras.layers.Layer):
    """A convolution that looks for each of its patterns in all eight poses: turned by quarters, and mirrored.

    A channel belongs to a pattern and a pose; the patterns in one pose follow each other. Turn or mirror the cutout,
    and the maps turn with it while the poses of each pattern change places. Which pose is which is kept for the next
    such layer, and lost in :class:`PosePooling`. No bias is added. Source: Cohen and Welling 2016, arXiv:1602.07576,
    equations 10 and 11, for the group p4m. With two poses it looks for each pattern and its mirror image, left for
    right.

    Input shape (batch, height, width, channels), output shape (batch, height, width, poses × patterns); without
    padding it is lower and narrower by ``side - 1``.

    Args:
        patterns: how many patterns are looked for.
        side: of the kernels in pixels, odd.
        posed: whether the channels have poses, as those of such a layer; False for pixels.
        poses: 8, or 2.
        padding: ``"same"`` pads zeros, ``"valid"`` nothing.

    Raises:
        ValueError: the side is even, there are other poses, or posed channels are no multiple of them.

    Example:
        >>> cutouts = keras.random.normal((2, 16, 16, 3))
        >>> first, second = GroupConv2D(4, 3, posed=False), GroupConv2D(5, 3)
        >>> tuple(second(first(cutouts)).shape)
        (2, 16, 16, 40)
    """

    # Like all convolutions, for those who look at layers from outside.
    strides: ClassVar[tuple[int, int]] = (1, 1)
    dilation_rate: ClassVar[tuple[int, int]] = (1, 1)
    data_format: ClassVar[str] = "channels_last"
    use_bias: ClassVar[bool] = False

    def __init__(
        self,
        patterns: int,
        side: int,
        posed: bool = True,
        poses: int = POSES,
        padding: Literal["same", "valid"] = "same",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if side % 2 == 0:
            raise ValueError(f"GroupConv2D: the side of a kernel must be odd, found {side}")
        if poses not in _GROUPS:
            raise ValueError(f"GroupConv2D: poses must be {POSES} or {MIRRORED}, found {poses}")
        self.patterns = patterns
        self.side = side
        self.posed = posed
        self.poses = poses
        self.padding = padding
        self.kernel_size = (side, side)

    def build(self, input_shape: Sequence[int | None]) -> None:
        channels = input_shape[-1]
        before = _patterns(self, channels, self.poses) if self.posed else channels
        shape = (self.side, self.side, self.poses if self.posed else 1, before, self.patterns)
        self.unposed = self.add_weight(shape, name="kernel")
        super().build(input_shape)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        batch, height, width, _ = input_shape
        less = self.side - 1 if self.padding == "valid" else 0
        down, right = (None if length is None else length - less for length in (height, width))
        return batch, down, right, self.poses * self.patterns

    def call(self, inputs: Any) -> Any:
        return ops.conv(inputs, self.kernel, padding=self.padding, data_format=self.data_format)

    @property
    def kernel(self) -> Any:
        """The patterns in all poses, as a convolution takes them: (side, side, channels, poses × patterns)."""
        unposed, posed = ops.convert_to_tensor(self.unposed), []
        for pose, seen in zip(_GROUPS[self.poses], _SEEN_FROM[self.poses], strict=True):
            kernel = ops.take(unposed, seen, axis=2) if self.posed else unposed
            posed.append(_in_pose(ops, kernel, pose))
        side, _, poses, before, patterns = unposed.shape
        return ops.reshape(ops.stack(posed, axis=-2), (side, side, poses * before, self.poses * patterns))

    def get_config(self) -> dict[str, Any]:
        own = ("patterns", "side", "posed", "poses", "padding")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


@keras.saving.register_keras_serializable(package=PACKAGE)
class PosePooling(keras.layers.Layer):
    """The mean of each pattern over its poses, which turns with the cutout and does not change otherwise.

    Input shape (batch, height, width, poses × patterns) as of :class:`GroupConv2D`, output shape (batch, height, width,
    patterns).

    Args:
        poses: how many there are.

    Raises:
        ValueError: the channels are no multiple of the poses.

    Example:
        >>> tuple(PosePooling()(keras.ops.ones((2, 16, 16, 40))).shape)
        (2, 16, 16, 5)
    """

    def __init__(self, poses: int = POSES, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.poses = poses

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.compute_output_shape(input_shape)
        super().build(input_shape)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], _patterns(self, input_shape[-1], self.poses))

    def call(self, inputs: Any) -> Any:
        _, height, width, channels = inputs.shape
        return ops.mean(ops.reshape(inputs, (-1, height, width, self.poses, channels // self.poses)), axis=-2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "poses": self.poses}


def normalized(x: keras.KerasTensor, poses: int, name: Callable[[str], str]) -> keras.KerasTensor:
    """Batch normalisation of each pattern, alike in all its poses; ``name`` names a layer after what it does."""
    _, height, width, channels = x.shape
    x = keras.layers.Reshape((height, width * poses, channels // poses), name=name("poses"))(x)
    x = keras.layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=name("norm"))(x)
    return keras.layers.Reshape((height, width, channels), name=name("maps"))(x)


def _patterns(layer: keras.layers.Layer, channels: int | None, poses: int) -> int:
    if channels is None or channels % poses:
        raise ValueError(f"{type(layer).__name__}: {channels} channels cannot be patterns in {poses} poses")
    return channels // poses


def _in_pose(library: Any, square: Any, pose: int) -> Any:
    """``square``, whose first two axes are sides, in that pose; ``library`` is numpy or ``keras.ops``."""
    mirrored, quarters = divmod(pose, 4)
    square = library.flip(square, axis=1) if mirrored else square
    return library.rot90(square, quarters) if quarters else square


def _poses_seen_from_poses(poses: Sequence[int]) -> NDArray[np.int32]:
    """In row g and column h the pose that becomes h when all is brought into pose g: g⁻¹h."""
    square = np.arange(9).reshape(3, 3)
    shown = [_in_pose(np, square, pose) for pose in poses]
    seen = np.empty((len(poses), len(poses)), np.int32)
    for row, brought in enumerate(poses):
        becomes = [_in_pose(np, before, brought) for before in shown]
        for column, wanted in enumerate(shown):
            seen[row, column] = next(i for i, found in enumerate(becomes) if np.array_equal(found, wanted))
    return seen


_SEEN_FROM = {number: _poses_seen_from_poses(poses) for number, poses in _GROUPS.items()}
