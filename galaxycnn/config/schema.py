"""The configuration: what every key of a YAML file means, its type, its range and its default.

The loader (:mod:`galaxycnn.config.loading`) reads files into :class:`Config`; every other module
receives a finished one. The file of Sobral Blanco (2023) (five sections and ``model_name``) is valid as it
stands; ``null`` switches an option off.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

from galaxycnn.config.fields import (
    BelowOne,
    BetweenZeroAndOne,
    Classes,
    Folder,
    Fraction,
    Layout,
    NonNegative,
    NonNegativeInt,
    Positive,
    PositiveInt,
    QuantityHead,
    Section,
    Share,
    Size,
    Switch,
    known,
)
from galaxycnn.errors import ConfigError
from galaxycnn.registry import AUGMENTATIONS, LOSSES
from galaxycnn.tree import GALAXY_ZOO_2, DecisionTree

TASKS: dict[int, tuple[str, ...]] = {1: ("Class1",), 2: ("Class1", "Class2", "Class7")}
"""The questions of the two tasks of Sobral Blanco (2023)."""


class MoreGalaxies(Section):
    """Another set of galaxies, split like the first, whose labels may be of other questions and quantities."""

    images_path: Folder
    """Folder or file of its images."""
    labels_path: Folder | None = None
    """CSV of its labels."""
    layout: Layout = "auto"
    """How these are read."""
    crop_size: PositiveInt | None = None
    """Side of the centre to cut out of its images; `null`: as `data_preprocessing` says."""


class Paths(Section):
    """Where images and labels are and where results go; relative to the working directory."""

    images_path: Folder
    """Folder of images, or an HDF5 file of them in Galaxy10's layout."""
    labels_path: Folder | None = None
    """CSV of labels; none for a folder per class and for Galaxy10."""
    extra_images_path: Folder | None = None
    """More galaxies, for training only: such as those that a trained network has labelled."""
    extra_labels_path: Folder | None = None
    """CSV of their labels."""
    more: list[MoreGalaxies] = []
    """Further sets of galaxies, split like the first; what the labels of a set do not say is masked, see `missing`."""
    plots_path: Folder = Path("metrics_plots")
    """Where the pictures, confusion matrices and `metrics.json` go."""
    models_path: Folder = Path("saved_models")
    """Where the networks, their diagram and the history go."""
    logs_path: Folder = Path("logs")
    """Where the log, the resolved configuration and the split go."""
    cache_path: Folder = Path(".cache")
    """Where decoded cutouts are kept for the next run; may be deleted at any time."""


class Simulation(Section):
    """How to make the images and labels with the embedded survey where they do not exist yet."""

    galaxies: PositiveInt = 2000
    """How many galaxies to draw."""
    image_size: Annotated[int, Field(ge=16, le=512)] = 64
    """Side of a simulated image in pixels."""
    volunteers: PositiveInt = 40
    """How many simulated volunteers classify each galaxy."""
    seed: NonNegativeInt = 48
    """The same seed draws the same galaxies."""


class DataPreprocessing(Section):
    """Which galaxies and questions are used, how a cutout is prepared, and how the sample is split."""

    layout: Layout = "auto"
    """How the folder and the labels are read; `auto` finds out."""
    task: Literal[1, 2] | None = None
    """1 learns Class1; 2 learns Class1, Class2 and Class7; `null` leaves it to `questions`."""
    questions: list[str] | None = None
    """Questions to learn, by name (`Class3`) or key (`bar`); `null` with no `task`: all in the labels; `[]`: none, only
    `quantities`."""
    classes: Classes | None = None
    """New classes out of those of the one question that is learnt: for each its name and the old ones (`spiral:
    [spiral_clockwise, spiral_anticlockwise]`), or `rest` for all others. Galaxies of classes not named are left out."""
    quantities: list[str] = []
    """Numbers to learn beside the answers, or instead of them: columns of the labels, such as `redshift`."""
    inputs: list[str] = []
    """Numbers that the network is given beside the image: columns of the labels, such as `pxscale`."""
    missing: Literal["drop", "mask"] = "drop"
    """Galaxies that lack some of the answers or quantities: left out, or kept to train only what is known of them."""
    min: Fraction | None = None
    """Leave out galaxies whose largest fraction among the chosen questions is below this."""
    one_hot_labels: Switch = False
    """Learn 1 for the answers of the most likely walk and 0 for all others, instead of the fractions."""
    crop: Switch = False
    """Cut out the centre of the image before it is resized."""
    crop_size: PositiveInt | None = None
    """Side of that centre, in pixels of the original image; needed with `crop`."""
    img_size: Size = [64, 64]
    """Height and width, in pixels, of the cutout that the network sees."""
    normalize: Switch = True
    """Scale pixels from 0–255 to 0–1 in the network's first layer."""
    grayscale: Switch = False
    """One channel instead of three."""
    training_size: Share = 0.8
    """Share of the galaxies for training and test together; the rest is for validation (1: there is none)."""
    test_size: Share = 0.2
    """Share of those that is cut out for the test, below 1."""
    sampling: Literal["natural", "oversample", "balanced"] = "natural"
    """Which galaxies of each class are used. `oversample`: those of rare classes come several times in the training
    part. `balanced`: all of the rarest class and as many of each other, drawn before the split. `natural`: all."""
    sampling_ratio: Share = 1.0
    """`oversample`: the least size of a class, as a share of the commonest one's (1: all classes alike)."""
    stratify: bool = True
    """Give every part the answers to the first question in the same proportions."""
    split_file: Folder | None = None
    """A split to use instead of drawing one: a CSV with `id` and `part`, as every run writes (`<name>.split.csv`)."""
    on_bad_images: Literal["skip", "fail"] = "skip"
    """Whether galaxies that cannot be used are named and left out, or end the run."""

    @model_validator(mode="after")
    def _possible(self) -> DataPreprocessing:
        if self.task is not None and self.questions is not None:
            raise ValueError("give either 'task' or 'questions', not both")
        if not self.quantities and self.questions == []:
            raise ValueError("'questions: []' needs 'quantities' to learn instead, for example [redshift]")
        if self.sampling != "natural" and self.questions == []:
            raise ValueError(f"'sampling: {self.sampling}' needs a question, whose answers are the classes")
        if self.crop and self.crop_size is None:
            raise ValueError("'crop: true' needs a 'crop_size' in pixels, for example 256")
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
    """The model family."""
    class_weights: Switch = False
    """Weigh rare answers up, in losses that take class weights (see the table of losses)."""
    early_stop_patience: PositiveInt | None = None
    """Stop after so many epochs without a better `monitor`, with the best weights; `null`: never."""
    monitor: str = "val_loss"
    """What decides which epoch is best: `loss` or a metric, `val_` before it for the validation part."""
    quantity_head: QuantityHead = "linear"
    """How each of `data_preprocessing.quantities` is predicted: one number, or a distribution."""
    quantity_parts: PositiveInt | None = None
    """Gaussians of a `mixture` (`null`: 3) or `bins` (`null`: 32)."""
    stop_gradient: list[str] = []
    """Outputs that learn from the backbone without teaching it, such as `redshift`."""


class DataAugmentation(Section):
    """Random changes of the training images; ``preset`` fills in what is not given here."""

    preset: str | None = None
    """A named set of augmentations that fills in the keys below; those that are given win."""
    rotation_range: Annotated[float, Field(ge=0, le=360)] | None = None
    """Largest rotation either way, in degrees."""
    width_shift_range: NonNegative | None = None
    """Largest shift to either side: below 1 a share of the width, from 1 in pixels."""
    height_shift_range: NonNegative | None = None
    """Largest shift up or down: below 1 a share of the height, from 1 in pixels."""
    shear_range: Annotated[float, Field(ge=0, lt=90)] | None = None
    """Largest shear angle either way, in degrees."""
    zoom_range: BelowOne | None = None
    """The field of view changes by one factor for both axes between 1 - this and 1 + this."""
    horizontal_flip: bool | None = None
    """Swap left and right in half of the cases."""
    vertical_flip: bool | None = None
    """Swap top and bottom in half of the cases."""
    fill_mode: Literal["nearest", "reflect", "wrap", "constant"] | None = None
    """What lies beyond the edge (`null`: `nearest`): the last pixel, the mirror image, the other side, or black."""
    brightness_range: Annotated[list[Positive], Field(min_length=2, max_length=2)] | None = None
    """Smallest and largest factor of the brightness."""
    colour_noise: NonNegative | None = None
    """Standard deviation of a shift along the colour axis of galaxies, as a share of the pixel range."""

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, name: str | None) -> str | None:
        return name if name is None else known(name, AUGMENTATIONS)

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

    ``cosine`` and ``exponential`` fall to ``final_fraction`` of it over all epochs; ``step``
    multiplies it by ``factor`` at given ``epochs``, ``plateau`` after ``patience`` epochs without a
    better ``monitor``. All of these may begin with ``warmup_epochs``.
    """

    name: Literal["constant", "cosine", "exponential", "plateau", "step"] = "constant"
    """How the learning rate changes in the course of the training."""
    warmup_epochs: NonNegativeInt = 0
    """All but `constant`: epochs in which it first rises from 0."""
    final_fraction: Share = 0.01
    """`cosine` and `exponential`: what it falls to in the end, as a fraction of `learning_rate`."""
    factor: BetweenZeroAndOne = 0.5
    """`plateau` and `step`: what it is multiplied by."""
    patience: PositiveInt = 5
    """`plateau`: after how many epochs without a better `monitor`."""
    epochs: list[PositiveInt] = []
    """`step`: after which epochs, for example `[300, 400]`."""

    @model_validator(mode="after")
    def _possible(self) -> Schedule:
        for key, owners in _SCHEDULES.items():
            if self.name not in owners and getattr(self, key) != type(self).model_fields[key].default:
                named = " or ".join(repr(owner) for owner in owners)
                raise ValueError(f"{key!r} belongs to the schedule {named}, not to {self.name!r}")
        if self.name == "step" and not self.epochs:
            raise ValueError("the schedule 'step' needs 'epochs', for example [60, 80]")
        if self.epochs != sorted(set(self.epochs)):
            raise ValueError(f"'epochs' must rise from one to the next, unlike {self.epochs}")
        return self


_SCHEDULES = {
    "warmup_epochs": ("cosine", "exponential", "plateau", "step"),
    "final_fraction": ("cosine", "exponential"),
    "factor": ("plateau", "step"),
    "patience": ("plateau",),
    "epochs": ("step",),
}
"""The schedules that each key of one belongs to."""


class TrainParams(Section):
    """What is minimised, and how."""

    optimizer: Literal["adam", "adamw", "muon", "sgd"] = "adam"
    """Adam, Adam with decoupled weight decay, Muon (for networks that learn from random weights: learns most in a given
    number of epochs), or gradient descent with Nesterov momentum 0.9."""
    learning_rate: Positive = 0.001
    """Learning rate of the optimizer."""
    weight_decay: Positive | None = None
    """`adamw`, `muon`: this times the learning rate is the share of a weight that every update takes off (not of
    biases)."""
    clip_norm: Positive | None = None
    """Largest norm of the gradient of all weights together; longer ones are scaled down."""
    average_weights: BetweenZeroAndOne | None = None
    """Decay of a running average of the weights, which is validated, kept and used in their place."""
    accumulate_batches: PositiveInt = 1
    """Batches whose gradients are averaged for one update of the weights."""
    schedule: Schedule = Schedule()
    """How the learning rate changes."""
    loss_function: str = "mean_squared_error"
    """What is minimised."""
    loss_params: dict[str, Any] = {}
    """Parameters of the loss (see the table of losses)."""
    loss_weights: dict[str, Positive] = {}
    """Factors of the losses of several outputs, by their names (`{class: 10, redshift: 1}`); others have 1. The loss of
    a quantity is in standard deviations of the training part."""
    balance: Literal["fixed", "uncertainty"] = "fixed"
    """Whether several losses are added as they are, or each relative to its own size, as learned uncertainties do. The
    loss of a `mixture`, which learns its uncertainty itself, is always added as it is."""
    metrics: list[str] = ["mse", "accuracy"]
    """What else is recorded after every epoch."""
    batch_size: PositiveInt = 100
    """Galaxies in a training step."""
    epochs: PositiveInt = 25
    """Most epochs to train for."""
    threshold: Annotated[Fraction, BeforeValidator(lambda value: 0.0 if value is None else value)] = 0.0
    """Answers with at most this share of the galaxies get the class weight 1 (before the logarithm)."""
    take_weights_log: Switch = True
    """Class weights are log(1 + w) instead of the inverse frequency w."""
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Numbers that the network computes with; its weights and outputs are `float32` in any case. `auto`:
    `mixed_float16` on a GPU; `mixed_bfloat16` on a processor that is faster so, with TensorFlow and without
    depthwise convolutions; else `float32`."""
    xla: Switch = False
    """Compile the network with XLA (PyTorch: `torch.compile`; JAX always does). Slower on a processor."""
    tensorboard: bool = False
    """Write `<name>.tensorboard` to the folder of logs."""

    @field_validator("loss_function")
    @classmethod
    def _known_loss(cls, name: str) -> str:
        return known(name, LOSSES)

    @model_validator(mode="after")
    def _possible(self) -> TrainParams:
        if self.optimizer == "adamw" and self.weight_decay is None:
            raise ValueError("the optimizer 'adamw' needs a 'weight_decay', for example 0.05")
        if self.optimizer not in ("adamw", "muon") and self.weight_decay is not None:
            raise ValueError(f"'weight_decay' belongs to the optimizers 'adamw' and 'muon', not to {self.optimizer!r}")
        return self


class EvaluationParams(Section):
    """How a trained network is measured on the validation and the test part."""

    views: PositiveInt = 1
    """Views of each galaxy to average: an even number turns and mirrors, 60 is the winner's of the Galaxy Challenge."""
    outlier_limit: Positive | None = None
    """Quantities: differences beyond this are outliers (`null`: 0.15 for redshifts, as a share of 1 + z; else none)."""


class Config(Section):
    """A whole configuration file; ``model_params`` has the keys of its ``model_type``."""

    seed: NonNegativeInt = 48
    """Decides the split, the first weights and the augmentation."""
    paths: Paths
    """Where data are and results go."""
    simulation: Simulation | None = None
    """A survey to simulate where there are no images yet."""
    data_preprocessing: DataPreprocessing = DataPreprocessing()
    """Galaxies, questions, cutouts and split."""
    model_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """Names the files of the run: letters and digits, then also `.`, `_` and `-`."""
    model_params: SerializeAsAny[ModelParams]
    """The network."""
    data_augmentation_params: DataAugmentation | None = None
    """Random changes of the training images; `null` for none."""
    train_params: TrainParams = TrainParams()
    """Loss and optimisation."""
    evaluation_params: EvaluationParams = EvaluationParams()
    """Views to average."""

    @model_validator(mode="after")
    def _possible(self) -> Config:
        if self.paths.more and self.data_preprocessing.missing != "mask":
            raise ValueError(
                "paths.more: the labels of several sets leave gaps; set data_preprocessing.missing: mask, so that"
                " a galaxy trains only what is known of it"
            )
        return self

    def refuse_to_watch_nothing(self) -> None:
        """Raise a ConfigError where the training watches validation galaxies; to be called where there are none."""
        monitor = self.model_params.monitor
        if not monitor.startswith("val_"):
            return
        for key, watches in {
            "model_params.early_stop_patience": self.model_params.early_stop_patience is not None,
            "train_params.schedule": self.train_params.schedule.name == "plateau",
        }.items():
            if watches:
                raise ConfigError(
                    f"{key}: {monitor!r} cannot be watched without validation galaxies; use a"
                    " data_preprocessing.training_size below 1, or train for a fixed number of epochs"
                )
