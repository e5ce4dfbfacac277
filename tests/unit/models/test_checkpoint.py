from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter
from tests.helpers.studies import image_settings, shape_settings

from phenoloom.artifacts.layout import CARD, WEIGHTS
from phenoloom.config import read_yaml
from phenoloom.config.model import ImageModel, Model
from phenoloom.core.errors import PhenoloomError
from phenoloom.models.checkpoint import Card, initial_objective, load_objective, read_card, save_card, save_weights
from phenoloom.objectives import build_objective

MODELS = Path(__file__).parents[3] / "config" / "models"


def card(**changes: object) -> Card:
    values = {
        "name": "vqvae-resnet18",
        "study": "toy",
        "split": "fold-0",
        "seed": 0,
        "initial_seed": 7,
        "settings_sha256": "0" * 64,
        "phenoloom": "0.1.0",
        "commit": None,
        "model": image_settings().model,
        "channels": ["DNA", "actin"],
        "mean": [1 / 3, 1e-7],
        "std": [2.0, 12345.678901234],
        "points": None,
        "best_epoch": 3,
        "validation_loss": 0.1,
        "epochs_run": 5,
        "train_rows": 10,
        "train_groups": 3,
        "validation_rows": 4,
        "validation_groups": 1,
        "rows_without_shape": 0,
        "precision": "float32",
        "preparation": {},
    }
    return Card(**{**values, **changes})


def shape_card() -> Card:
    return card(model=shape_settings().model, channels=None, mean=None, std=None, points=32)


@pytest.mark.parametrize("make", [card, shape_card], ids=["tiles", "shapes"])
def test_a_model_comes_back_as_it_was_saved(make: object, tmp_path: Path) -> None:
    written = make()
    objective = initial_objective(written.model, written.size, 1)
    save_weights(tmp_path, objective.state_dict())
    save_card(tmp_path, written)
    assert read_card(tmp_path) == written
    loaded = load_objective(tmp_path, written)
    assert not loaded.training
    state = objective.state_dict()
    assert all(torch.equal(state[name], value) for name, value in loaded.state_dict().items())


def test_initial_weights_follow_from_the_seed_and_leave_the_random_state_alone(tmp_path: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first = load_objective(tmp_path, card(), untrained=True).state_dict()
    assert torch.equal(torch.rand(1), expected)
    second = initial_objective(card().model, 2, 7).state_dict()
    other = initial_objective(card().model, 2, 8).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["project.weight"], other["project.weight"])


def test_weights_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    state = initial_objective(card().model, 2, 1).state_dict()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        save_weights(tmp_path / folder, state)
    assert (tmp_path / "a" / WEIGHTS).read_bytes() == (tmp_path / "b" / WEIGHTS).read_bytes()


@pytest.mark.parametrize("change", ["missing", "surplus", "shape"])
def test_weights_that_do_not_fit_are_refused(change: str, tmp_path: Path) -> None:
    state = dict(initial_objective(card().model, 2, 1).state_dict())
    name = "project.weight"
    if change == "missing":
        del state[name]
    elif change == "surplus":
        state["head.weight"] = torch.zeros(3)
    else:
        state[name] = state[name][:-1]
    save_weights(tmp_path, state)
    with pytest.raises(PhenoloomError, match="train again"):
        load_objective(tmp_path, card())


def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS).write_bytes(b"nonsense")
    with pytest.raises(PhenoloomError, match=WEIGHTS):
        load_objective(tmp_path, card())


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(PhenoloomError, match="run the step `pretrain`"):
        read_card(tmp_path)


def test_a_card_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    save_card(tmp_path, card())
    path = tmp_path / CARD
    path.write_text(path.read_text() + "colour: red\n")
    with pytest.raises(PhenoloomError, match="colour"):
        read_card(tmp_path)


def test_the_initial_weights_of_a_vqvae_are_fixed_by_their_seed() -> None:
    state = initial_objective(card().model, 2, 1).state_dict()
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(name.encode())
        digest.update(value.contiguous().numpy().tobytes())
    assert digest.hexdigest()[:16] == "55de8a52f200a083"


@pytest.mark.parametrize(
    "changes",
    [
        {"encoder": "resnet50", "objective": {"name": "ae"}},
        {"encoder": "resnet18", "objective": {"name": "vae"}, "channels": {"mode": "separate"}},
        {"objective": {"name": "mae", "decoder_width": 32, "decoder_depth": 1}, "contrast": {"pairs": "replicates"}},
        {
            "objective": {"name": "dino", "prototypes": 8, "local_size": 16, "ibot": 1.0},
            "channels": {"mode": "map", "map": {"DNA": 1, "actin": 2}},
        },
    ],
    ids=lambda changes: changes["objective"]["name"],
)
def test_every_kind_of_image_model_comes_back_from_disk(changes: dict[str, object], tmp_path: Path) -> None:
    encoder = str(changes.get("encoder", "vit-tiny"))
    size = {"width": 32, "depth": 1, "patch": 8} if encoder.startswith("vit") else {"width": 4}
    model = ImageModel(**{"view": "tiles", "encoder": encoder, "input_size": 32, "latent": 16, **size, **changes})
    written = card(model=model, supervision=model.supervision)
    objective = initial_objective(model, written.size, 1, written.channels).eval()
    save_weights(tmp_path, objective.state_dict())
    save_card(tmp_path, written)
    found = read_card(tmp_path)
    assert found == written
    assert found.supervision == ("replicates" if "contrast" in changes else "none")
    tiles = torch.randn(3, 2, 32, 32)
    with torch.no_grad():
        assert torch.equal(load_objective(tmp_path, found).embed(tiles), objective.embed(tiles))


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_model_file_that_comes_with_the_package_can_be_built(path: Path) -> None:
    model = TypeAdapter(Model).validate_python(read_yaml(path))
    with torch.device("meta"):
        assert sum(p.numel() for p in build_objective(model, 3 if model.view == "tiles" else 64).parameters()) > 0
