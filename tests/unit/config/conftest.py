"""Fixtures of the tests of the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.configuration import write_config


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    return write_config(tmp_path)
