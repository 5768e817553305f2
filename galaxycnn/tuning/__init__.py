"""Search for the values of a configuration's keys that give the best validation RMSE (needs Optuna)."""

from galaxycnn.errors import MissingExtra

try:
    import optuna as _optuna  # noqa: F401 - only to say in one sentence that it is missing
except ImportError as error:
    raise MissingExtra("tuning", "tune") from error

from galaxycnn.tuning.study import Tuning, tune

__all__ = ["Tuning", "tune"]
