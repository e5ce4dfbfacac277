"""Models for other programs: the vectors stay those of embedding, on any batch and in any runtime."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import phenoloom
from phenoloom.artifacts.layout import CARD
from phenoloom.cli.main import main
from phenoloom.config.model import ImageModel, ShapeModel
from phenoloom.config.rule_settings import ConvertSettings
from phenoloom.config.source import Masks
from phenoloom.config.study import Tiles
from phenoloom.core.errors import PhenoloomError
from phenoloom.data.channels import Normaliser
from phenoloom.models.bioimageio import complaints, export_package
from phenoloom.models.checkpoint import Card, initial_objective, load_objective, save_card, save_weights
from phenoloom.models.export import Exported, export_onnx, export_torch, library, write_onnx
from phenoloom.models.preprocessing import Preparation
from phenoloom.models.standalone import ContourEncoder, TileEncoder, encoder_of
from phenoloom.shapes.polygons import Polygons, without_repeats

VIT = {"encoder": "vit-tiny", "width": 32, "depth": 1, "patch": 8}
MAE = {"objective": {"name": "mae", "decoder_width": 32, "decoder_depth": 1}, **VIT}
DINO = {
    "objective": {"name": "dino", "prototypes": 8, "local_size": 16},
    "channels": {"mode": "map", "map": {"DNA": 1, "cell body": 2}},
    **VIT,
}
SEPARATE = {"width": 4, "objective": {"name": "vae"}, "channels": {"mode": "separate"}}
VQVAE = {"width": 4, "objective": {"name": "vqvae", "codes": 8, "code_dim": 4}}
ABOUT = {
    "authors": [{"name": "Ada Lovelace", "affiliation": "Analytical Engines", "orcid": "0000-0002-1825-0097"}],
    "licence": "CC-BY-4.0",
    "cite": [
        {"text": "Lovelace, Notes (1843)", "doi": "10.1000/182"},
        {"text": "Babbage", "url": "https://engine.invalid/paper"},
    ],
}


def tile_model(**changes: Any) -> ImageModel:
    return ImageModel(**{"view": "tiles", "input_size": 32, "latent": 8, **changes})


def shape_model(**changes: Any) -> ShapeModel:
    return ShapeModel(**{"view": "shapes", "width": 4, "latent": 8, "objective": {"name": "ae"}, **changes})


def save(folder: Path, model: ImageModel | ShapeModel, size: int = 40) -> tuple[Path, Card]:
    """A model folder with initial weights, whose statistics and running means are not those of a fresh network."""
    tiles = isinstance(model, ImageModel)
    names = ["DNA", "cell body"] if tiles else None
    convert = ConvertSettings(
        algorithm=1, study="toy", root=".", channels=names or [], pixel_size_um=0.25, masks=Masks(),
        tiles=Tiles(mode="objects", size=size), max_rejected_fraction=0.1,
    )  # fmt: skip
    card = Card(
        name="m", study="toy", split="fold-0", seed=0, initial_seed=7, settings_sha256="0" * 64, phenoloom="0.1.0",
        commit=None, model=model, channels=names, mean=[300.0, 90.5] if tiles else None,
        std=[120.0, 33.0] if tiles else None, points=None if tiles else 24, best_epoch=3, validation_loss=0.1,
        epochs_run=5, train_rows=10, train_groups=3, validation_rows=4, validation_groups=1, rows_without_shape=0,
        precision="float32",
        preparation=Preparation(convert=convert, dtype="uint16") if tiles else Preparation(),
    )  # fmt: skip
    objective = initial_objective(model, card.size, 7, names)
    generator = torch.Generator().manual_seed(1)
    for name, value in objective.state_dict().items():
        if name.endswith("running_mean"):
            value.copy_(torch.randn(value.shape, generator=generator) / 10)
        if name.endswith("running_var"):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    save_weights(folder, objective.state_dict())
    save_card(folder, card)
    return folder, card


def embedded(folder: Path, card: Card, inputs: torch.Tensor) -> torch.Tensor:
    """Vectors as the step `embed` makes them."""
    assert isinstance(card.model, ImageModel)
    normalised = Normaliser(tuple(card.mean or ()), tuple(card.std or ()), card.model.input_size)(inputs)
    with torch.inference_mode():
        return load_objective(folder, card).embed(normalised)


IMAGES = {"vqvae": VQVAE, "separate": SEPARATE, "mae": MAE, "dino": DINO}


@pytest.mark.parametrize("changes", IMAGES.values(), ids=IMAGES.keys())
@pytest.mark.parametrize("size", [32, 40, 24])
def test_camera_counts_give_the_vectors_of_embedding(changes: dict[str, Any], size: int, tmp_path: Path) -> None:
    folder, card = save(tmp_path, tile_model(**changes), size)
    exported = Exported(folder)
    assert isinstance(exported.encoder, TileEncoder)
    assert exported.inputs.shape == (5, 2, size, size)
    torch.testing.assert_close(exported.vectors, embedded(folder, card, exported.inputs), rtol=1e-4, atol=2e-5)


def test_contours_of_any_place_and_size_give_the_vectors_of_centred_ones_of_scale_one(tmp_path: Path) -> None:
    from phenoloom.shapes.polygons import standard_contours

    folder, card = save(tmp_path, shape_model())
    exported = Exported(folder)
    assert isinstance(exported.encoder, ContourEncoder)
    raw = exported.inputs.double().numpy()
    contours, _, scales = standard_contours(without_repeats(Polygons.from_list(list(raw))), card.size)
    objective = load_objective(folder, card)
    with torch.inference_mode():
        stored = torch.from_numpy((contours / scales[:, None, None]).astype(np.float32))
        expected = objective.embed(stored)
        moved = exported.encoder(torch.from_numpy(contours.astype(np.float32)) * 3.5 + 2000)
    torch.testing.assert_close(moved, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    with torch.inference_mode():
        near = exported.encoder(torch.from_numpy(contours.astype(np.float32)))
    torch.testing.assert_close(near, expected, rtol=1e-4, atol=1e-5)


FAST = {"mae"}
"""Exporting takes seconds each."""
FILES = {
    "vqvae": tile_model(**VQVAE),
    "mae": tile_model(**MAE),
    "dino": tile_model(**DINO),
    "shape-ae": shape_model(),
    "shape-contrast": shape_model(objective={"name": "contrast"}, augment={"noise": 0.1}, reflection=False),
}


@pytest.mark.parametrize(
    "model",
    [pytest.param(model, marks=() if name in FAST else pytest.mark.slow, id=name) for name, model in FILES.items()],
)
def test_onnx_runtime_gives_the_vectors_of_torch_for_batches_of_any_size(
    model: ImageModel | ShapeModel, tmp_path: Path
) -> None:
    import onnx
    import onnxruntime

    folder, _ = save(tmp_path / "model", model)
    output = tmp_path / "out" / "encoder.onnx"
    export_onnx(folder, output)
    exported = Exported(folder)
    session = onnxruntime.InferenceSession(output, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    assert (entry.name, entry.shape[1:]) == (exported.name, list(exported.inputs.shape[1:]))
    many = exported.inputs.repeat(2, *[1] * (exported.inputs.ndim - 1))[:7].flip(0)
    with torch.no_grad():
        expected = exported.encoder(many).numpy()
    (vectors,) = session.run(None, {entry.name: many.numpy()})
    np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-5)
    metadata = {entry.key: entry.value for entry in onnx.load(output).metadata_props}
    assert json.loads(metadata["phenoloom"]) == exported.facts()
    assert [path.name for path in output.parent.iterdir()] == ["encoder.onnx"]
    # Equal models are equal bytes wherever the code lies that wrote them.
    assert str(Path(phenoloom.__file__).parent).encode() not in output.read_bytes()
    assert b"site-packages" not in output.read_bytes()


@pytest.mark.parametrize(
    "kind", [*(pytest.param(kind, marks=pytest.mark.slow) for kind in ("mae", "vqvae")), "shape-ae"]
)
def test_a_torch_program_runs_without_the_package_that_made_it(kind: str, tmp_path: Path) -> None:
    folder, _ = save(tmp_path / "model", FILES[kind])
    output = tmp_path / "encoder.pt2"
    export_torch(folder, output)
    exported = Exported(folder)
    np.save(tmp_path / "inputs.npy", exported.inputs[:3].numpy())
    code = (
        "import sys, torch, numpy as np\n"
        "program = torch.export.load(sys.argv[1], extra_files=(extra := {'model.yaml': ''}))\n"
        "assert 'split: fold-0' in extra['model.yaml']\n"
        "np.save(sys.argv[3], program.module()(torch.from_numpy(np.load(sys.argv[2]))).detach().numpy())\n"
        "assert 'phenoloom' not in sys.modules\n"
    )
    arguments = [str(output), str(tmp_path / "inputs.npy"), str(tmp_path / "vectors.npy")]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, cwd=tmp_path)
    np.testing.assert_allclose(np.load(tmp_path / "vectors.npy"), exported.vectors[:3].numpy(), rtol=1e-4, atol=1e-5)


def write_about(folder: Path, **changes: Any) -> Path:
    path = folder / "about.yaml"
    path.write_text(yaml.safe_dump({**ABOUT, **changes}))
    return path


@pytest.mark.parametrize(
    "kind", [*(pytest.param(kind, marks=pytest.mark.slow) for kind in ("mae", "vqvae")), "shape-ae"]
)
def test_the_validator_of_the_model_zoo_accepts_the_package(kind: str, tmp_path: Path) -> None:
    folder, _ = save(tmp_path / "model", FILES[kind])
    (tmp_path / "intro.md").write_text("Made for testing.")
    about = write_about(tmp_path, documentation="intro.md", tags=["cells"])
    arguments = ["--model", str(folder), "--about", str(about), "--output", str(tmp_path / "model.zip")]
    assert main(["export", "--format", "bioimageio", *arguments]) == 0
    assert complaints(tmp_path / "model.zip") == []
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        described = yaml.safe_load(archive.read("rdf.yaml"))
        assert {"cover.png", "README.md", "test_input.npy", "encoder.onnx"} < set(archive.namelist())
        assert archive.read("README.md").decode().startswith("Made for testing.")
    assert described["license"] == "CC-BY-4.0"
    assert described["config"]["phenoloom"]["model_yaml"] == yaml.safe_load((folder / CARD).read_text())
    assert described["cite"][0]["doi"] == "10.1000/182"
    assert described["authors"][0]["name"] == "Ada Lovelace"
    axes = described["inputs"][0]["axes"]
    if kind != "shape-ae":
        assert axes[1]["channel_names"] == ["DNA", "cell_body"]
        assert (axes[2]["size"], axes[2]["scale"], axes[2]["unit"]) == (40, 0.25, "micrometer")
    else:
        assert axes[1]["size"] == 24


@pytest.mark.slow
def test_a_package_whose_vectors_are_not_those_of_its_network_is_refused(tmp_path: Path) -> None:
    folder, _ = save(tmp_path / "model", FILES["shape-ae"])
    exported = Exported(folder)
    exported.vectors[0] += 1
    with pytest.raises(PhenoloomError, match="differ from those of the model"):
        write_onnx(exported, tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()


@pytest.mark.slow
def test_equal_models_give_equal_packages(tmp_path: Path) -> None:
    about = write_about(tmp_path)
    for name in ("a", "b"):
        folder, _ = save(tmp_path / name, FILES["shape-ae"])
        export_package(folder, about, tmp_path / f"{name}.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param({"licence": "my own"}, "does not accept", marks=pytest.mark.slow),
        ({"authors": []}, "`authors`"),
        ({"cite": [{"text": "x"}]}, "must have a `doi` or a `url`"),
        ({"colour": "red"}, "unknown key `colour`"),
        ({"cover": "face.png"}, "There is no file"),
        ({"cover": "face.txt"}, "must be one of"),
    ],
)
def test_what_a_package_lacks_is_said_and_nothing_is_left(
    changes: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    folder, _ = save(tmp_path / "model", FILES["shape-ae"])
    about = write_about(tmp_path, **changes)
    with pytest.raises(PhenoloomError, match=sentence):
        export_package(folder, about, tmp_path / "out" / "model.zip")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_missing_about_file_is_named(tmp_path: Path) -> None:
    folder, _ = save(tmp_path / "model", FILES["shape-ae"])
    with pytest.raises(PhenoloomError, match=r"There is no file .*about\.yaml"):
        export_package(folder, tmp_path / "about.yaml", tmp_path / "model.zip")


def test_a_library_that_is_not_installed_is_named_with_what_to_install() -> None:
    with pytest.raises(PhenoloomError, match=r"needs the library onnx_of_nobody.*pip install '\.\[export\]'"):
        library("onnx_of_nobody")


def test_vectors_that_differ_are_refused(tmp_path: Path) -> None:
    folder, _ = save(tmp_path, FILES["shape-ae"])
    exported = Exported(folder)
    vectors = exported.vectors[:2].numpy().copy()
    exported.refuse_difference(vectors, 2, "itself")
    vectors[1, 3] += 1e-3 * max(1.0, float(np.abs(vectors).max()))
    with pytest.raises(PhenoloomError, match="nothing was written"):
        exported.refuse_difference(vectors, 2, "another one")
    with pytest.raises(PhenoloomError, match="nothing was written"):
        exported.refuse_difference(vectors, 1, "too many")


def test_tiles_of_a_model_that_does_not_say_their_size_cannot_be_exported(tmp_path: Path) -> None:
    folder, card = save(tmp_path, FILES["vqvae"])
    with pytest.raises(PhenoloomError, match=f"{CARD}: The size of the tiles"):
        encoder_of(folder, card.model_copy(update={"preparation": Preparation()}))


def test_exporters_are_imported_only_where_they_are_needed() -> None:
    code = (
        "import sys, phenoloom.cli.main, phenoloom.models.bioimageio\n"
        "names = {'onnx', 'onnxruntime', 'onnxscript', 'bioimageio'} & set(sys.modules)\n"
        "assert not names, names\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
