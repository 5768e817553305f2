"""Random changes of cutouts that leave a galaxy's morphology as it is: one affine warp per image.

Rotation, shift, shear, zoom and flips are composed into one matrix before any pixel is touched, so
that detail is interpolated once, however many of them are on. Plain NumPy and OpenCV: the same
random generator gives the same pixels whichever backend Keras runs on.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from galaxycnn.config.schema import DataAugmentation
from galaxycnn.errors import DataError, nearest
from galaxycnn.registry import AUGMENTATIONS

Images = NDArray[np.uint8]
Floats = NDArray[np.float64]

BORDERS = {
    "nearest": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT,
    "wrap": cv2.BORDER_WRAP,
    "constant": cv2.BORDER_CONSTANT,
}
"""How each ``fill_mode`` fills what lies outside the cutout: its edge pixel (``aaa|abcd|ddd``), its
mirror image (``cba|abcd|dcb``), its other side (``bcd|abcd|abc``), or black."""

COLOUR_AXIS = np.array([0.0148, 0.0125, 0.0104]) / np.linalg.norm([0.0148, 0.0125, 0.0104])
"""The direction in RGB along which galaxies differ most, as a unit vector (Dieleman, Willett and Dambre 2015,
MNRAS 450, 1441)."""


@dataclass(frozen=True)
class AugmentationSet:
    """A named set of augmentations: what it is for, in one line, and its settings."""

    description: str
    settings: DataAugmentation


for _name, _set in {
    "none": AugmentationSet("every cutout as it is", DataAugmentation()),
    "seed_task1": AugmentationSet(
        "the published recipe for the three shapes of Class1",
        DataAugmentation(
            rotation_range=90,
            width_shift_range=0.075,
            height_shift_range=0.075,
            shear_range=0.2,
            zoom_range=0.25,
            horizontal_flip=True,
            vertical_flip=True,
            fill_mode="nearest",
        ),
    ),
    "seed_task2": AugmentationSet(
        "the published recipe for Class1, Class2 and Class7, gentler in shift, shear and zoom",
        DataAugmentation(
            rotation_range=90,
            width_shift_range=0.01,
            height_shift_range=0.01,
            shear_range=0.015,
            zoom_range=0.15,
            horizontal_flip=True,
            vertical_flip=True,
            fill_mode="nearest",
        ),
    ),
    "constraints_seed": AugmentationSet(
        "small rotations, shifts and zooms without flips, published for all 37 fractions",
        DataAugmentation(
            rotation_range=25,
            width_shift_range=0.05,
            height_shift_range=0.05,
            zoom_range=0.1,
            fill_mode="nearest",
        ),
    ),
    "dieleman": AugmentationSet(
        "the winner of the Galaxy Challenge: any rotation, 1 % shifts, zoom, flips and colour noise",
        DataAugmentation(
            rotation_range=180,
            width_shift_range=4 / 424,
            height_shift_range=4 / 424,
            zoom_range=0.25,
            horizontal_flip=True,
            vertical_flip=True,
            fill_mode="reflect",
            colour_noise=0.011,
        ),
    ),
    "strong": AugmentationSet(
        "any rotation with wide shifts and zoom, brightness and colour: for small samples and long trainings",
        DataAugmentation(
            rotation_range=180,
            width_shift_range=0.08,
            height_shift_range=0.08,
            zoom_range=0.3,
            horizontal_flip=True,
            vertical_flip=True,
            fill_mode="reflect",
            brightness_range=[0.8, 1.25],
            colour_noise=0.02,
        ),
    ),
}.items():
    AUGMENTATIONS.register(_name)(_set)


def affine_matrices(
    image_shape: tuple[int, ...],
    *,
    angle: ArrayLike = 0.0,
    shift_x: ArrayLike = 0.0,
    shift_y: ArrayLike = 0.0,
    shear: ArrayLike = 0.0,
    zoom: ArrayLike = 1.0,
    flip_x: ArrayLike = False,
    flip_y: ArrayLike = False,
) -> Floats:
    """Where each pixel of a changed image comes from in the original: one 2 by 3 matrix each.

    Everything turns, shears, zooms and flips about the centre of the image, ``(W - 1) / 2`` and
    ``(H - 1) / 2`` in pixels counted from the middle of the first one; the shift comes last, so that
    the centre moves by exactly that much. Arguments are numbers or arrays of shape (n,).

    Args:
        image_shape: height and width first.
        angle: degrees, counter-clockwise as displayed (like :func:`numpy.rot90`).
        shift_x, shift_y: pixels to the right and downwards.
        shear: degrees; ``x - sin(shear) y`` and ``cos(shear) y``, as in Keras 2.
        zoom: factor of the field of view, as in Keras 2: above 1 the galaxy looks smaller.
        flip_x, flip_y: mirror left and right, top and bottom.

    Returns:
        Shape (n, 2, 3), for :func:`warp`.

    Example:
        >>> affine_matrices((65, 65), angle=90, shift_x=3).round(2)[0]
        array([[ 0., -1., 64.],
               [ 1.,  0., -3.]])
    """
    angle, shift_x, shift_y, shear, zoom, flip_x, flip_y = np.broadcast_arrays(
        *map(np.atleast_1d, (angle, shift_x, shift_y, shear, zoom, flip_x, flip_y))
    )
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    shear_cos, shear_sin = np.cos(np.deg2rad(shear)), np.sin(np.deg2rad(shear))
    scale_x, scale_y = np.where(flip_x, -zoom, zoom), np.where(flip_y, -zoom, zoom)

    matrices = np.empty((len(angle), 2, 3))
    matrices[:, 0, 0] = cos * scale_x
    matrices[:, 0, 1] = (-cos * shear_sin - sin * shear_cos) * scale_y
    matrices[:, 1, 0] = sin * scale_x
    matrices[:, 1, 1] = (-sin * shear_sin + cos * shear_cos) * scale_y
    height, width = image_shape[:2]
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    moved = centre + np.stack([shift_x, shift_y], axis=1)
    matrices[:, :, 2] = centre - np.einsum("nij,nj->ni", matrices[:, :, :2], moved)
    return matrices


def warp(images: Images, matrices: Floats, fill_mode: str = "nearest") -> Images:
    """Resample every image by its matrix, bicubically.

    Measured on Galaxy Zoo 2 cutouts turned at 64 pixels, against turning the full image before it is
    reduced: bicubic keeps 86 % of the power on the scale of a pixel or two, where a bilinear
    warp keeps 58 % and so trains on blurrier galaxies than it is later asked about.

    Args:
        images: shape (n, H, W, C), uint8, with up to four channels.
        matrices: shape (n, 2, 3), from :func:`affine_matrices`.
        fill_mode: one of :data:`BORDERS`.

    Example:
        >>> image = np.arange(12, dtype=np.uint8).reshape(1, 3, 4, 1)
        >>> warp(image, affine_matrices((3, 4), flip_x=True))[0, :, :, 0]
        array([[ 3,  2,  1,  0],
               [ 7,  6,  5,  4],
               [11, 10,  9,  8]], dtype=uint8)
    """
    if fill_mode not in BORDERS:
        raise DataError(f"there is no fill mode {fill_mode!r}{nearest(fill_mode, BORDERS)}")
    changed = np.empty_like(images, order="C")
    size = (images.shape[2], images.shape[1])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    border = BORDERS[fill_mode]
    for image, matrix, out in zip(images, matrices, changed, strict=True):
        cv2.warpAffine(image, matrix, size, dst=out, flags=flags, borderMode=border)
    return changed


class Augmenter:
    """Draws a random change for every image of a batch and applies it.

    The keys mean what they meant to the image generator of Keras 2, with two exceptions. Its width and height
    shifts were swapped; here the width shift moves along x. It drew a zoom factor for each axis;
    here both axes share one, since the axis ratio is what the question of roundness asks about.
    (With ``zoom_range: 0.25``, two factors change an axis ratio of 0.7 by 0.09 rms. By the relation between measured
    axis ratio and votes of smooth Galaxy Zoo 2 galaxies that is worth 0.12 in the roundness answer, close to the 0.15
    by which galaxies scatter about that relation.)

    Args:
        settings: which changes, and how large.
        image_shape: height, width and channels of the cutouts.

    Example:
        >>> augment = Augmenter(DataAugmentation(preset="seed_task2"), (64, 64, 3))
        >>> batch = np.zeros((5, 64, 64, 3), dtype=np.uint8)
        >>> augment(batch, np.random.default_rng(48)).shape
        (5, 64, 64, 3)
    """

    def __init__(self, settings: DataAugmentation, image_shape: tuple[int, int, int]) -> None:
        self.settings = settings
        self.image_shape = tuple(image_shape)
        s = self.settings
        geometry = (s.rotation_range, s.width_shift_range, s.height_shift_range, s.shear_range, s.zoom_range)
        self._warps = any((*geometry, s.horizontal_flip, s.vertical_flip))
        self._recolours = s.brightness_range is not None or bool(s.colour_noise)

    def __call__(self, images: Images, rng: np.random.Generator) -> Images:
        """A changed copy of ``images``, shape (n, H, W, C), uint8; ``rng`` decides everything."""
        if images.dtype != np.uint8 or images.shape[1:] != self.image_shape:
            raise DataError(
                f"the augmentation expects uint8 images of shape (n, {', '.join(map(str, self.image_shape))}), "
                f"not {images.dtype} of shape {images.shape}"
            )
        images = warp(images, self.draw_matrices(len(images), rng), self._fill_mode) if self._warps else images.copy()
        if self._recolours:
            _recolour(images, self.draw_tables(len(images), rng))
        return images

    @property
    def _fill_mode(self) -> str:
        return self.settings.fill_mode or "nearest"

    def draw_matrices(self, n: int, rng: np.random.Generator) -> Floats:
        """Random :func:`affine_matrices` for ``n`` images: shape (n, 2, 3)."""
        s = self.settings
        height, width = self.image_shape[:2]

        def symmetric(limit: float | None) -> Floats:
            return rng.uniform(-1.0, 1.0, n) * (limit or 0.0)

        def coin(on: bool | None) -> NDArray[np.bool_]:
            return (rng.random(n) < 0.5) & bool(on)

        return affine_matrices(
            self.image_shape,
            angle=symmetric(s.rotation_range),
            shift_x=symmetric(_pixels(s.width_shift_range, width)),
            shift_y=symmetric(_pixels(s.height_shift_range, height)),
            shear=symmetric(s.shear_range),
            zoom=1.0 + symmetric(s.zoom_range),
            flip_x=coin(s.horizontal_flip),
            flip_y=coin(s.vertical_flip),
        )

    def draw_tables(self, n: int, rng: np.random.Generator) -> Images:
        """Random tables of new grey levels for ``n`` images: shape (n, 256, C).

        Colour noise moves the channels of RGB together along :data:`COLOUR_AXIS`, and greyscale by the mean of it.
        """
        s = self.settings
        channels = self.image_shape[2]
        low, high = s.brightness_range or (1.0, 1.0)
        factor = rng.uniform(low, high, n)[:, None, None]
        axis = COLOUR_AXIS if channels == 3 else np.full(channels, COLOUR_AXIS.mean())
        offset = rng.normal(0.0, 255.0 * (s.colour_noise or 0.0), n)[:, None, None] * axis
        return np.clip(np.rint(np.arange(256)[:, None] * factor + offset), 0, 255).astype(np.uint8)


def _pixels(shift: float | None, size: int) -> float:
    """A shift below 1 is a share of the image's size, any other already in pixels."""
    shift = shift or 0.0
    return shift * size if shift < 1 else shift


def _recolour(images: Images, tables: Images) -> None:
    for image, table in zip(images, tables, strict=True):
        cv2.LUT(image, table[:, None, :], dst=image)
