"""The configuration: what every key of a YAML file means, its type, its range and its default.

The loader (:mod:`galaxycnn.config.loading`) reads files into :class:`Config`; every other module
receives a finished one. The seed project's file (five sections and ``model_name``) is valid as it
stands; ``null`` switches an option off.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, field_validator, model_validator

from galaxycnn.errors import nearest
from galaxycnn.registry import AUGMENTATIONS, LAYOUTS, LOSSES
from galaxycnn.tree import GALAXY_ZOO_2, DecisionTree

Folder = Annotated[Path, Field(strict=False)]
Share = Annotated[float, Field(gt=0, le=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(gt=0)]
Size = Annotated[list[PositiveInt], Field(min_length=2, max_length=2)]

TASKS: dict[int, tuple[str, ...]] = {1: ("Class1",), 2: ("Class1", "Class2", "Class7")}
"""The questions of the seed's two tasks."""


class Section(BaseModel):
    """A section of the file: unknown keys and wrong types are errors, and nothing changes later."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Paths(Section):
    """Where images and labels are and where results go; relative to the working directory."""

    images_path: Folder
    labels_path: Folder | None = None
    plots_path: Folder = Path("metrics_plots")
    models_path: Folder = Path("saved_models")
    logs_path: Folder = Path("logs")
    cache_path: Folder = Path(".cache")


class Simulation(Section):
    """How to make the images and labels with the embedded survey where they do not exist yet."""

    galaxies: PositiveInt = 2000
    image_size: Annotated[int, Field(ge=16, le=512)] = 64
    volunteers: PositiveInt = 40
    seed: Annotated[int, Field(ge=0)] = 48


class DataPreprocessing(Section):
    """Which galaxies and questions are used, how a cutout is prepared, and how the sample is split."""

    layout: str = "auto"
    task: Literal[1, 2] | None = None
    questions: Annotated[list[str], Field(min_length=1)] | None = None
    min: Fraction | None = None
    one_hot_labels: bool = False
    crop: bool = False
    crop_size: PositiveInt | None = None
    img_size: Size = [64, 64]
    normalize: bool = True
    grayscale: bool = False
    training_size: Share = 0.8
    test_size: Share = 0.2
    stratify: bool = True
    on_bad_images: Literal["skip", "fail"] = "skip"

    @field_validator("layout")
    @classmethod
    def _known_layout(cls, name: str) -> str:
        return name if name == "auto" else _known(name, LAYOUTS, LAYOUTS.kind)

    @model_validator(mode="after")
    def _possible(self) -> DataPreprocessing:
        if self.task is not None and self.questions is not None:
            raise ValueError("give either 'task' or 'questions', not both")
        if self.crop and self.crop_size is None:
            raise ValueError("'crop: true' needs a 'crop_size' in pixels, for example 256")
        if self.training_size == 1:
            raise ValueError("'training_size: 1' leaves no galaxies for validation; give less than 1, for example 0.8")
        if self.test_size == 1:
            raise ValueError("'test_size: 1' leaves no galaxies to train on; give less than 1, for example 0.2")
        return self

    @property
    def question_names(self) -> tuple[str, ...] | None:
        """The questions asked for, or None for all that the labels have."""
        if self.task is not None:
            return TASKS[self.task]
        return tuple(self.questions) if self.questions is not None else None

    @property
    def channels(self) -> int:
        return 1 if self.grayscale else 3

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a prepared cutout."""
        return self.img_size[0], self.img_size[1], self.channels

    def target_tree(self, labels: DecisionTree = GALAXY_ZOO_2) -> DecisionTree:
        """The questions to learn, out of those that the labels answer."""
        return labels if self.question_names is None else labels.subset(self.question_names)


class ModelParams(Section):
    """What every model family shares; each family adds its own keys (see ``galaxycnn list models``)."""

    model_type: str = "base"
    class_weights: bool | None = False
    early_stop_patience: PositiveInt | None = None
    monitor: str = "val_loss"


class DataAugmentation(Section):
    """Random changes of the training images; ``preset`` fills in what is not given here.

    ``rotation_range`` and ``shear_range`` are the largest angles in degrees; shifts below 1 are
    shares of the image, others pixels; ``zoom_range`` z draws one factor for both axes in
    1-z … 1+z; ``brightness_range`` is the range of a factor; ``colour_noise`` is the standard
    deviation of a shift along the principal colour axis of galaxies, in units of the full pixel
    range.
    """

    preset: str | None = None
    rotation_range: Annotated[float, Field(ge=0, le=360)] | None = None
    width_shift_range: Annotated[float, Field(ge=0)] | None = None
    height_shift_range: Annotated[float, Field(ge=0)] | None = None
    shear_range: Annotated[float, Field(ge=0, lt=90)] | None = None
    zoom_range: Annotated[float, Field(ge=0, lt=1)] | None = None
    horizontal_flip: bool | None = None
    vertical_flip: bool | None = None
    fill_mode: Literal["nearest", "reflect", "wrap", "constant"] | None = None
    brightness_range: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=2, max_length=2)] | None = None
    colour_noise: Annotated[float, Field(ge=0)] | None = None

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, name: str | None) -> str | None:
        return name if name is None else _known(name, AUGMENTATIONS, AUGMENTATIONS.kind)

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, given: Any) -> Any:
        """Keys that are given win over the preset's, ``null`` among them."""
        preset = given.get("preset") if isinstance(given, dict) else None
        if not isinstance(preset, str) or preset not in AUGMENTATIONS:
            return given
        return {**AUGMENTATIONS[preset].settings.model_dump(exclude_none=True), **given}


class Schedule(Section):
    """How the learning rate changes.

    ``cosine`` (after ``warmup_epochs``) and ``exponential`` fall to ``final_fraction`` of it over
    all epochs; ``plateau`` multiplies it by ``factor`` after ``patience`` epochs without a better
    ``monitor``.
    """

    name: Literal["constant", "cosine", "exponential", "plateau"] = "constant"
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    final_fraction: Share = 0.01
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    patience: PositiveInt = 5

    @model_validator(mode="after")
    def _possible(self) -> Schedule:
        if self.warmup_epochs and self.name != "cosine":
            raise ValueError(f"'warmup_epochs' belongs to the schedule 'cosine', not to {self.name!r}")
        return self


class TrainParams(Section):
    """Optimisation: Adam with these settings."""

    learning_rate: Annotated[float, Field(gt=0)] = 0.001
    schedule: Schedule = Schedule()
    loss_function: str = "mean_squared_error"
    loss_params: dict[str, Any] = {}
    metrics: list[str] = ["mse", "accuracy"]
    batch_size: PositiveInt = 100
    epochs: PositiveInt = 25
    threshold: Fraction = 0.0
    take_weights_log: bool = True
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    tensorboard: bool = False

    @field_validator("loss_function")
    @classmethod
    def _known_loss(cls, name: str) -> str:
        return _known(name, LOSSES, LOSSES.kind)


class Config(Section):
    """A whole configuration file; ``model_params`` has the keys of its ``model_type``."""

    seed: Annotated[int, Field(ge=0)] = 48
    paths: Paths
    simulation: Simulation | None = None
    data_preprocessing: DataPreprocessing = DataPreprocessing()
    model_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    model_params: SerializeAsAny[ModelParams]
    data_augmentation_params: DataAugmentation | None = None
    train_params: TrainParams = TrainParams()


def _known(name: str, choices: Any, kind: str) -> str:
    if name not in choices:
        raise ValueError(f"there is no {kind} {name!r}{nearest(name, choices)}")
    return name
