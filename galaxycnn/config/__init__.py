"""The configuration of a run: schema and loading."""

from galaxycnn.config.loading import dump_config, load_config, save_config
from galaxycnn.config.schema import Config

__all__ = ["Config", "dump_config", "load_config", "save_config"]
