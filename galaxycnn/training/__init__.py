"""Training: from a configuration to a fitted network, interruptible and repeatable."""

from galaxycnn.training.run import Run, train

__all__ = ["Run", "train"]
