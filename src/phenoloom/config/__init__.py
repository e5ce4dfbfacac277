"""Configuration: the sections of every YAML file, reading them, and the settings of each rule."""

from .load import check_mixtures, load_config, load_model, load_study, read_yaml
from .model import ImageModel, Model, ShapeModel
from .rule_settings import Settings
from .rules import RuleSettings, model_split, overview_settings, splits
from .study import Config, Study
from .transfer import check_transfers

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
    "read_yaml",
    "splits",
]
