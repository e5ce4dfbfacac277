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
from ..core.atomic import atomic_path
from ..core.errors import PhenoloomError
from ..core.seeds import stable_seed
from .checkpoint import Card, read_card
from .standalone import encoder_of, item_shape

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
        self.name = self.card.domain.items
        self.encoder: nn.Module = encoder_of(model, self.card)
        self.inputs = example(self.card, item_shape(model, self.card), max(BATCHES))
        with torch.no_grad():
            self.vectors: Tensor = self.encoder(self.inputs)

    def program(self) -> torch.export.ExportedProgram:
        """Return the encoder as a graph for batches of any size."""
        batch = torch.export.Dim("batch", min=1)
        with torch.no_grad(), _quiet():
            return torch.export.export(self.encoder, (self.inputs[:2],), dynamic_shapes=({0: batch},))

    def refuse_difference(self, vectors: NDArray[np.float32], count: int, where: str) -> None:
        """Compare vectors with those of the first `count` inputs.

        Raises:
            PhenoloomError: They differ by more than `TOLERANCE`; the message names `where` they are from.
        """
        expected = self.vectors[:count].numpy()
        far = float(np.abs(vectors - expected).max()) if vectors.shape == expected.shape else np.inf
        if not far <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
            raise PhenoloomError(
                f"The vectors of {where} differ from those of the model by up to {far:.2g}, expected at most "
                f"{TOLERANCE:g} of their size; nothing was written. Try another version of PyTorch or ONNX Runtime"
            )

    def facts(self) -> dict[str, Any]:
        """Return what a program needs to know to feed the encoder, and the origin of the encoder."""
        card, made = self.card, self.card.preparation
        convert = made.convert
        return {
            "model": card.name,
            "study": card.study,
            "split": card.split,
            "settings_sha256": card.settings_sha256,
            "phenoloom": card.phenoloom,
            "input": self.name,
            "shape": list(self.inputs.shape[1:]),
            "channels": card.channels,
            "dtype_of_training": made.dtype,
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

    Raises:
        PhenoloomError: ONNX Runtime does not compute the vectors of torch from it.
    """
    write_onnx(Exported(model), output)


def write_onnx(exported: Exported, output: Path) -> None:
    """Write and check the ONNX file of a model."""
    onnx, runtime = library("onnx"), library("onnxruntime")
    library("onnxscript")
    # ONNX Runtime must send no reports about what is computed here.
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
    # The exporter notes from which lines of code each node is, by their paths on this machine.
    library("onnx_ir.passes.common").ClearMetadataAndDocStringPass()(converted.model)
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
    """Import a library that only exporting needs.

    Raises:
        PhenoloomError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise PhenoloomError(
            f"Exporting needs the library {name}, which is not installed; install it: {EXTRA}"
        ) from None


def example(card: Card, shape: tuple[int, ...], count: int) -> Tensor:
    """Return made-up inputs (count, *shape) like those of training, the same for the same model; no data of a study."""
    generator = np.random.default_rng(stable_seed(card.name, card.seed, *shape))
    statistics = card.domain.normaliser(card.mean or (), card.std or ())
    return card.domain.example(shape, count, generator, statistics)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the exporter reports to its own developers."""
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
