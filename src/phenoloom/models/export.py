"""A finished model as a file for other programs: ONNX, or a program of torch.export."""

from __future__ import annotations

import importlib
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..artifacts.layout import CARD
from ..config.model import ImageModel
from ..core.atomic import atomic_path
from ..core.errors import PhenoloomError
from ..core.seeds import stable_seed
from .checkpoint import Card, read_card
from .standalone import encoder_of, input_shape

OPSET = 20
TOLERANCE = 1e-5
"""Largest difference from torch, as a share of the largest value of a vector (or of 1, where that is smaller)."""
BATCHES = (1, 2, 5)
EXTRA = "`pip install '.[export]'` in the checkout of phenoloom"


class Exported:
    """A model ready to be written: its encoder, card, and inputs with the vectors that they must give."""

    def __init__(self, model: Path) -> None:
        self.card = read_card(model)
        self.card_text = (model / CARD).read_text(encoding="utf-8")
        self.name = "tiles" if isinstance(self.card.model, ImageModel) else "contours"
        self.encoder: nn.Module = encoder_of(model, self.card)
        self.inputs = example(self.card, input_shape(model, self.card), max(BATCHES))
        with torch.no_grad():
            self.vectors: Tensor = self.encoder(self.inputs)

    def program(self) -> torch.export.ExportedProgram:
        """The encoder as a graph for batches of any size."""
        batch = torch.export.Dim("batch", min=1)
        with torch.no_grad(), _quiet():
            return torch.export.export(self.encoder, (self.inputs[:2],), dynamic_shapes=({0: batch},))

    def refuse_difference(self, vectors: NDArray[np.float32], count: int, where: str) -> None:
        """Raise PhenoloomError unless `vectors` are those of the first `count` inputs."""
        expected = self.vectors[:count].numpy()
        far = float(np.abs(vectors - expected).max()) if vectors.shape == expected.shape else np.inf
        if not far <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
            raise PhenoloomError(
                f"The vectors of {where} differ from those of the model by up to {far:.2g}, expected at most "
                f"{TOLERANCE:g} of their size; nothing was written. Try another version of PyTorch or ONNX Runtime"
            )

    def facts(self) -> dict[str, Any]:
        """What a program needs to know to feed the encoder, and where it comes from."""
        card, made = self.card, self.card.preparation
        convert = made.convert if made else None
        return {
            "model": card.name,
            "study": card.study,
            "split": card.split,
            "settings_sha256": card.settings_sha256,
            "phenoloom": card.phenoloom,
            "input": self.name,
            "shape": list(self.inputs.shape[1:]),
            "channels": card.channels,
            "dtype_of_training": made.dtype if made else None,
            "pixel_size_um": convert.pixel_size_um if convert else None,
            "values": self.vectors.shape[1],
        }


def export_torch(model: Path, output: Path) -> None:
    """Write a program of `torch.export` (`torch.export.load(output).module()(tiles)`), with `model.yaml` inside."""
    exported = Exported(model)
    extra = {CARD: exported.card_text}
    with atomic_path(output) as temporary:
        program = temporary.with_suffix(".pt2")
        try:
            torch.export.save(exported.program(), program, extra_files=extra)
            with torch.no_grad():
                read = torch.export.load(program).module()
                for count in BATCHES:
                    vectors = read(exported.inputs[:count]).numpy()
                    exported.refuse_difference(vectors, count, f"{output} in torch")
            program.replace(temporary)
        finally:
            program.unlink(missing_ok=True)


def export_onnx(model: Path, output: Path) -> None:
    """Write an ONNX file whose input `tiles` or `contours` and output `vectors` have batches of any size.

    Raises PhenoloomError unless ONNX Runtime computes the vectors of torch from it.
    """
    write_onnx(Exported(model), output)


def write_onnx(exported: Exported, output: Path) -> None:
    """Write and check the ONNX file of a model."""
    onnx, runtime = library("onnx"), library("onnxruntime")
    library("onnxscript")
    # What is computed here concerns nobody else.
    runtime.disable_telemetry_events()
    batch = torch.export.Dim("batch", min=1)
    with _quiet():
        converted = torch.onnx.export(
            exported.program(),
            (exported.inputs[:2],),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[exported.name],
            output_names=["vectors"],
            dynamic_shapes=({0: batch},),
        )
    assert converted is not None
    proto = converted.model_proto
    facts = exported.facts()
    proto.producer_name, proto.producer_version = "phenoloom", exported.card.phenoloom
    onnx.helper.set_model_props(proto, {"phenoloom": json.dumps(facts, sort_keys=True, ensure_ascii=False)})
    onnx.checker.check_model(proto, full_check=True)
    content = proto.SerializeToString(deterministic=True)
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for count in BATCHES:
        (vectors,) = session.run(["vectors"], {exported.name: exported.inputs[:count].numpy()})
        exported.refuse_difference(vectors, count, f"{output} in ONNX Runtime")
    with atomic_path(output) as temporary:
        temporary.write_bytes(content)


def library(name: str) -> ModuleType:
    """A library that only exporting needs."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise PhenoloomError(
            f"Exporting needs the library {name}, which is not installed; install it: {EXTRA}"
        ) from None


def example(card: Card, shape: tuple[int, ...], count: int) -> Tensor:
    """Made-up inputs (count, *shape) like those of training, the same for the same model; no pixel of any study."""
    generator = np.random.default_rng(stable_seed(card.name, card.seed, *shape))
    if isinstance(card.model, ImageModel):
        return torch.from_numpy(_tiles(card, shape, count, generator))
    angle = np.arange(shape[0]) * 2 * np.pi / shape[0]
    waves = sum(
        generator.uniform(0, 0.3 / k, (count, 1)) * np.cos(k * angle + generator.uniform(0, 6, (count, 1)))
        for k in range(2, 6)
    )
    radius = generator.uniform(15, 40, (count, 1)) * (1 + waves)
    points = radius[..., None] * np.stack([np.cos(angle), np.sin(angle)], 1) + generator.uniform(0, 500, (count, 1, 2))
    return torch.from_numpy(points.astype(np.float32))


def _tiles(card: Card, shape: tuple[int, ...], count: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """A blurred disc of another size in each channel, with noise, of the channels' mean and standard deviation."""
    channels, size, _ = shape
    y, x = np.mgrid[:size, :size] / size - 0.5
    centre, radius = generator.uniform(-0.15, 0.15, (2, count, channels, 1, 1)), generator.uniform(0.1, 0.3, (count, 1))
    far = np.hypot(y - centre[0], x - centre[1]) / radius[..., None, None]
    values = np.exp(-(far**4)) + generator.normal(0, 0.1, far.shape)
    values = (values - values.mean((2, 3), keepdims=True)) / values.std((2, 3), keepdims=True)
    mean, std = (np.array(part)[:, None, None] for part in (card.mean, card.std))
    # A camera's counts are whole and not negative.
    counts: NDArray[np.float32] = np.rint(np.clip(values * std + mean, 0, None)).astype(np.float32)
    return counts


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter tells its own developers."""
    names = ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
