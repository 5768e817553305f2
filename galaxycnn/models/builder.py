"""From a configuration to a network, by the name of its family."""

from __future__ import annotations

import keras

from galaxycnn.config.schema import Config
from galaxycnn.models.family import ModelFamily
from galaxycnn.tree import GALAXY_ZOO_2, DecisionTree


class CNNBuilder:
    """Builds the network that a configuration describes.

    Args:
        config: a checked configuration.
        tree: the questions that the labels answer; the configuration picks from them.

    Raises:
        ConfigError: the model parameters cannot answer the questions.

    Example:
        >>> from galaxycnn.config import load_config
        >>> config = load_config({"paths": {"images_path": "images"}, "model_name": "small",
        ...     "data_preprocessing": {"task": 2, "img_size": [16, 16]},
        ...     "model_params": {"model_type": "hierarchy", "conv_layers": [[4, [3, 3]]], "dense_units": [8]}})
        >>> list(CNNBuilder(config).build().output_names)
        ['Class1', 'Class2', 'Class7']
    """

    def __init__(self, config: Config, tree: DecisionTree = GALAXY_ZOO_2) -> None:
        self.family = ModelFamily.of(config, tree)
        self.family.check()

    def build(self) -> keras.Model:
        """A new network with random weights."""
        return self.family.build()
