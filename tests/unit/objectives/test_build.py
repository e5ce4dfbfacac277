from __future__ import annotations

import subprocess
import sys
from typing import get_args

from phenoloom.config.image_objectives import ImageObjective
from phenoloom.config.shape_objectives import ShapeObjective
from phenoloom.objectives.build import IMAGE_OBJECTIVES, SHAPE_OBJECTIVES


def test_nothing_here_needs_torchvision_timm_or_lightly() -> None:
    code = (
        "import sys\n"
        "for name in ('torchvision', 'timm', 'lightly'): sys.modules[name] = None\n"
        "import phenoloom.training.pretrain, phenoloom.embedding.inference, phenoloom.objectives\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_objective_of_a_model_file_has_one_network() -> None:
    for union, registry in ((ImageObjective, IMAGE_OBJECTIVES), (ShapeObjective, SHAPE_OBJECTIVES)):
        assert set(registry) == set(get_args(get_args(union)[0]))
        assert len(set(registry.values())) == len(registry)
