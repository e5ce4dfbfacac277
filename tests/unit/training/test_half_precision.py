"""Every objective in bfloat16, the precision of `auto` on devices that have it: near float32's curve, and as exact."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tests.helpers.studies import StudyOnDisk, image_settings, shape_settings
from tests.helpers.training import OUTPUTS, Killed, kill_after, train

from phenoloom.augment.contours import augment_contours
from phenoloom.augment.tiles import augment, crops
from phenoloom.config.model import Augment, ImageModel
from phenoloom.config.rule_settings import PretrainSettings
from phenoloom.config.shape_objectives import ShapeAugment
from phenoloom.config.training import Collapse, RunOptions
from phenoloom.models.checkpoint import read_card
from phenoloom.nets.heads import DINOHead
from phenoloom.objectives.contrast import supervised_contrast
from phenoloom.objectives.dino_loss import cross_entropies, koleo
from phenoloom.training import module as training

VIT: dict[str, Any] = {"encoder": "vit-tiny", "width": 32, "depth": 2, "patch": 8, "registers": 1, "drop_path": 0.1}
DINO: dict[str, Any] = {
    "name": "dino",
    "prototypes": 32,
    "hidden": 32,
    "bottleneck": 16,
    "local_crops": 2,
    "local_size": 16,
    "koleo": 0.1,
    "temperature_epochs": 1,
}
AUGMENT = {
    "crop": 0.5,
    "rotate": True,
    "elastic": 0.1,
    "gain": 0.2,
    "offset": 0.1,
    "blur": 0.7,
    "noise": 0.1,
    "drop_channel": 0.1,
}
IMAGES: dict[str, dict[str, Any]] = {
    "ae": {"objective": {"name": "ae"}},
    "vae": {"objective": {"name": "vae"}, "contrast": {"pairs": "views"}},
    "vqvae": {"objective": {"name": "vqvae", "codes": 16, "code_dim": 8}, "contrast": {"pairs": "labels"}},
    "mae": {
        **VIT,
        "objective": {"name": "mae", "decoder_width": 32, "decoder_depth": 1},
        "contrast": {"pairs": "views"},
    },
    "dino-resnet": {"objective": {**DINO, "head_batch_norm": True, "local_size": 32}, "input_size": 64, "augment": {}},
    "dino-vit": {**VIT, "objective": {**DINO, "ibot": 1.0}, "augment": {"gain": 0.1}},
    "separate": {"objective": {"name": "ae"}, "channels": {"mode": "separate"}, "contrast": {"pairs": "channels"}},
    "replicate": {"objective": {"name": "vae"}, "channels": {"mode": "replicate"}},
    "map": {"objective": {"name": "ae"}, "channels": {"mode": "map", "inputs": 3, "map": {"DNA": 0, "actin": 2}}},
    "vit-ae": {**VIT, "objective": {"name": "vae"}},
}
SHAPES: dict[str, dict[str, Any]] = {
    "shape-ae": {"objective": {"name": "ae"}},
    "shape-vae": {"objective": {"name": "vae"}},
    "shape-vqvae": {"objective": {"name": "vqvae", "codes": 8, "code_dim": 4}},
    "shape-mae": {"objective": {"name": "mae"}},
    "shape-contrast": {"objective": {"name": "contrast"}, "augment": {"stretch": 0.1, "noise": 0.01}},
    "shape-embed": {"encoder": "resnet18", "objective": {"name": "vae", "decoder": "matrix", "error": "absolute"}},
}

pytestmark = pytest.mark.usefixtures("same_threads")


def settings_of(name: str, precision: str, **more: Any) -> PretrainSettings:
    # Small steps: after large ones two curves part by themselves.
    chosen = {"precision": precision, "gradient_clip": 1.0, "epochs": 2, "learning_rate": 1e-4, **more}
    if name in SHAPES:
        return shape_settings(**SHAPES[name], training=chosen)
    own = {"view": "tiles", "width": 4, "input_size": 32, "latent": 16, "augment": AUGMENT, **IMAGES[name]}
    basis = image_settings(training=chosen)
    model = ImageModel(**own, training=basis.model.training.model_dump())
    return basis.model_copy(update={"model": model, "model_name": name})


def run(settings: PretrainSettings, study: StudyOnDisk, output: Path) -> pd.DataFrame:
    # So few steps bring no codebook into use.
    options = RunOptions(collapse=Collapse(epochs=0))
    train(settings, study, output, options)
    return pd.read_csv(output / "metrics.csv")


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(1)


OUTLINES = ShapeAugment(stretch=0.1, elastic=0.1, ripple=0.02, cut=0.2, noise=0.01)
EXACT: dict[str, Callable[[], torch.Tensor]] = {
    "tiles": lambda: augment(drawn(4, 3, 64, 64), Augment(**AUGMENT, crop_tries=3), seeded()),
    "crops": lambda: crops(drawn(4, 3, 64, 64), Augment(**AUGMENT), (0.2, 0.5), 32, 2, seeded()),
    "contours": lambda: augment_contours(drawn(4, 32, 2), OUTLINES, seeded()),
    "contrast": lambda: supervised_contrast(
        torch.nn.functional.normalize(drawn(8, 16), dim=1), torch.tensor([[i % 4, i // 4] for i in range(8)]), 0.1
    ),
    "cross-entropy": lambda: cross_entropies(drawn(2, 4, 64).softmax(-1), drawn(3, 4, 64)),
    "koleo": lambda: koleo(drawn(8, 16)),
}


@pytest.mark.parametrize("name", EXACT)
def test_places_of_pixels_and_losses_are_those_of_single_precision(name: str) -> None:
    expected = EXACT[name]()
    with torch.autocast("cpu", torch.bfloat16):
        found = EXACT[name]()
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_the_similarities_to_prototypes_lose_no_digits() -> None:
    head = DINOHead(16, 32, 8, 64)
    with torch.autocast("cpu", torch.bfloat16):
        found, hidden = head(drawn(4, 16)), head.mlp(drawn(4, 16)).double()
    prototypes = torch.nn.functional.normalize(head.last_layer.weight.double(), dim=1)
    expected = torch.nn.functional.normalize(hidden, dim=1) @ prototypes.T
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", [*IMAGES, *SHAPES])
def test_every_objective_has_nearly_the_curve_of_single_precision(
    name: str, study: StudyOnDisk, tmp_path: Path
) -> None:
    half, single = (run(settings_of(name, precision), study, tmp_path / precision) for precision in ("bf16", "float32"))
    assert [read_card(tmp_path / name).precision for name in ("bf16", "float32")] == ["bf16", "float32"]
    assert np.isfinite(half).all(axis=None)
    assert (half["train_loss"] != single["train_loss"]).all()
    np.testing.assert_allclose(half["train_loss"], single["train_loss"], rtol=0.05)


def test_a_training_that_goes_on_in_another_precision_says_so(
    study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of("ae", "auto")
    monkeypatch.setattr(training, "SECONDS_BETWEEN_SAVES", 0.0)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    with monkeypatch.context() as deadly:
        kill_after(4, deadly, "training_step")
        with pytest.raises(Killed):
            run(settings, study, tmp_path)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    run(settings, study, tmp_path)
    assert "steps until here were computed in bf16, and this device computes in float32" in capsys.readouterr().err
    assert read_card(tmp_path).precision == "bf16 then float32"


@pytest.mark.parametrize("name", [*IMAGES, "shape-vqvae", "shape-embed"])
def test_a_killed_training_continues_to_the_same_bits(
    name: str, study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The teacher of DINO is an average already.
    settings = settings_of(name, "bf16", ema=0.0 if "dino" in name else 0.9)
    run(settings, study, tmp_path / "whole")
    monkeypatch.setattr(training, "SECONDS_BETWEEN_SAVES", 0.0)
    with monkeypatch.context() as deadly:
        kill_after(4, deadly, "training_step")
        with pytest.raises(Killed):
            run(settings, study, tmp_path / "killed")
    run(settings, study, tmp_path / "killed")
    files = [file for file in OUTPUTS if (tmp_path / "whole" / file).exists()]
    assert len(files) >= 3
    whole, killed = ([(tmp_path / folder / file).read_bytes() for file in files] for folder in ("whole", "killed"))
    assert whole == killed
