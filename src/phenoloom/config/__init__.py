"""Configuration: the sections of every YAML file, reading them, and the settings of each rule."""

from .load import check_mixtures, load_config, load_model, load_study
from .model import ImageModel, Model, ShapeModel
from .overrides import read_config
from .rule_settings import Settings
from .rules import RuleSettings, model_split, overview_settings, splits
from .run import Config
from .study import Study
from .transfer import check_transfers
from .yaml_file import read_yaml

__all__ = [
    "Config",
    "ImageModel",
    "Model",
    "RuleSettings",
    "Settings",
    "ShapeModel",
    "Study",
    "check_mixtures",
    "check_transfers",
    "load_config",
    "load_model",
    "load_study",
    "model_split",
    "overview_settings",
    "read_config",
    "read_yaml",
    "splits",
]
