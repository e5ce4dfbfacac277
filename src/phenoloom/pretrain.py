"""Train one model on one split's train groups; a killed run continues by itself to the same bits."""

from __future__ import annotations

import csv
import hashlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.exceptions import SIGTERMException

from . import distributed
from .augment import augment
from .channels import Normaliser, fit_normaliser
from .config.model import ImageModel
from .config.settings import PretrainSettings
from .contour_augment import augment_contours
from .data import Loader, Rows, stable_seed
from .errors import PhenoloomError
from .manifest import provenance, read_manifest, write_atomically
from .objectives import Objective
from .pairs import KINDS, pair_keys
from .resume import ResumeFolder, remove_leftovers
from .roles import ALL, TRAIN, fold_table, hold_out, row_groups, row_roles
from .training import Metrics, Prepare, Pretraining, TrainingData
from .views import ShapeView, TileView
from .weights import CARD, WEIGHTS, Card, initial_objective, save_card, save_weights
from .world import ALONE, World, training_device

METRICS, EXAMPLES = "metrics.csv", "reconstructions.npz"
EXAMPLE_COUNT = 8
LEAST_ROWS = 4
UNIT_COLUMNS = ["id", "image_id", "plate", "well"]
TERMINATED = 128 + 15


@dataclass(frozen=True)
class Material:
    """What a model is trained on: `view` holds the rows of `table`, `train` and `validation` are positions in it."""

    view: TileView | ShapeView
    table: pd.DataFrame
    train: Rows
    validation: Rows
    normaliser: Normaliser | None
    without_shape: int

    def groups(self, rows: Rows) -> int:
        """Number of groups among `rows`."""
        return int(self.table["unit_group"].iloc[rows].nunique())


def pretrain(
    settings: PretrainSettings,
    index: Path,
    folds: Path,
    stores: list[Path],
    output: Path,
    threads: int,
    world: World = ALONE,
    accelerator: str = "auto",
) -> None:
    """Write `model.safetensors`, `metrics.csv`, `reconstructions.npz` and at last `model.yaml` to the folder `output`.

    `stores` are the shard manifests of the model's view, `threads` decode ahead of the step. Arithmetic on a CPU uses
    `training.threads` threads whatever `threads` is, because the order of sums, and so the weights, depends on it.
    With a `world` of several processes each of them calls this, and the first one writes.
    Raises PhenoloomError for too few rows and for a loss that is not finite.
    """
    first = world.rank() == 0
    if first:
        for name in (CARD, METRICS, EXAMPLES, WEIGHTS):
            remove_leftovers(output / name)
    training = settings.model.training
    torch.set_num_threads(training.threads)
    material = gather(settings, index, folds, stores)
    seed = stable_seed(settings.seed, settings.split)
    pl.seed_everything(seed, verbose=False)
    device = training_device(accelerator, world.rank() % world.devices)
    names = material.view.channels if isinstance(material.view, TileView) else None
    objective = initial_objective(settings.model, _input_size(material.view), seed, names)
    if world.size > 1:
        distributed.synchronise_batch_norms(objective)
    objective = objective.to(device)
    resume = ResumeFolder(output, settings.digest(), _fingerprint(material, stores))
    prepare = _prepare(settings, material.normaliser, objective)
    keys = pair_keys(material.table, objective.pairs) if objective.pairs else None
    with Loader(material.view, threads, device) as train, Loader(material.view, threads, device) as validation:
        data = TrainingData(train, validation, material.train, material.validation, prepare, keys)
        module = Pretraining(f"{settings.model_name} {settings.split}", objective, training, data, seed, resume)
        _fit(module, settings, output, device, world)
        if not first:
            return
        objective.load_state_dict(module.progress.best)
        examples = _examples(module, material.validation[:EXAMPLE_COUNT])
    save_weights(output, module.progress.best)
    _write_metrics(output / METRICS, module.progress.history)
    if examples:
        write_atomically(output / EXAMPLES, lambda file: np.savez(file, allow_pickle=False, **examples))
    save_card(output, _card(settings, material, module, seed))
    resume.remove()


def gather(settings: PretrainSettings, index: Path, folds: Path, stores: Sequence[Path]) -> Material:
    """Choose the rows to train on and to validate on, in the order of their ids, and open what they look at."""
    tiles = isinstance(settings.model, ImageModel)
    contrast = settings.model.contrast if isinstance(settings.model, ImageModel) else None
    known = [KINDS[contrast.pairs][0]] if contrast and contrast.pairs in KINDS else []
    columns = [
        *dict.fromkeys([*UNIT_COLUMNS, *known]),
        *(["shard", "position", "channel_mean", "channel_std"] if tiles else []),
    ]
    table = pq.read_table(index, columns=columns).to_pandas()
    split = fold_table(folds)
    table["unit_group"] = row_groups(table, split)
    table = table[np.isin(row_roles(table, split, settings.split), [TRAIN, ALL])]
    # By id: the order of the index depends on the number of shards, and weights must not.
    table = table.sort_values("id", ignore_index=True)
    if len(table) == 0:
        raise PhenoloomError(f"{index} has no row outside the test groups of {settings.split}; use fewer folds")
    view: TileView | ShapeView
    if tiles:
        view, without = TileView(table, stores), 0
    else:
        view = ShapeView(table, stores)
        without = int((~view.found).sum())
        table = table[view.found].reset_index(drop=True)
    if len(table) < LEAST_ROWS:
        raise PhenoloomError(
            f"{settings.model_name} needs at least {LEAST_ROWS} {settings.model.view} outside the test groups of "
            f"{settings.split}, found {len(table)}; add data or use fewer folds"
        )
    held = hold_out(table["unit_group"], table["id"], settings.model.training.validation_fraction, settings.seed)
    train, validation = np.flatnonzero(~held), np.flatnonzero(held)
    normaliser = None
    if isinstance(settings.model, ImageModel):
        mean, std = (np.stack(table[name].to_numpy()[train]) for name in ("channel_mean", "channel_std"))
        normaliser = fit_normaliser(mean, std, settings.model.input_size)
    return Material(view, table, train, validation, normaliser, without)


def _prepare(settings: PretrainSettings, normaliser: Normaliser | None, objective: Objective) -> Prepare:
    model = settings.model

    def prepare(batch: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        inputs = batch if normaliser is None else normaliser(batch)
        # Validation sees tiles and contours as they are; some objectives draw views of their own.
        if generator is None or objective.makes_views:
            return inputs
        if isinstance(model, ImageModel):
            return augment(inputs, model.augment, generator)
        return augment_contours(inputs, model.augment, generator)

    return prepare


def _fit(module: Pretraining, settings: PretrainSettings, output: Path, device: torch.device, world: World) -> None:
    training = settings.model.training
    with _quiet_lightning():
        trainer = pl.Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=world.devices,
            num_nodes=world.nodes,
            strategy=world.strategy(device),
            # Each process is given its share of every batch already.
            use_distributed_sampler=False,
            max_epochs=training.epochs,
            precision=_precision(training.precision, device),
            gradient_clip_val=training.gradient_clip,
            deterministic="warn" if device.type == "cuda" else None,
            plugins=[world.environment()],
            logger=TensorBoardLogger(output, name="tensorboard", version=settings.digest()[:12]),
            reload_dataloaders_every_n_epochs=1,
            num_sanity_val_steps=0,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=sys.stderr.isatty(),
        )
        try:
            trainer.fit(module)
        except SIGTERMException:
            raise SystemExit(TERMINATED) from None


def _precision(wanted: str, device: torch.device) -> str:
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16-mixed" if wanted == "bf16" or (wanted == "auto" and native) else "32-true"


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning_fabric|torch\.utils\.tensorboard")
            yield
    finally:
        logger.setLevel(level)


@torch.inference_mode()
def _examples(module: Pretraining, rows: Rows) -> dict[str, np.ndarray]:
    """Inputs and reconstructions of some validation rows, float16 in the unit of the model's input."""
    objective = module.objective.eval()
    (batch,) = module.data.validation.batches([rows])
    inputs = module.data.prepare(batch, None)
    outputs = objective.reconstruct(inputs)
    if outputs is None:
        return {}
    pairs = {"inputs": inputs, "outputs": outputs}
    return {name: values.cpu().contiguous().numpy().astype(np.float16) for name, values in pairs.items()}


def _write_metrics(path: Path, history: Sequence[Metrics]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_atomically(path, lambda file: file.write(text.getvalue().encode()))


def _card(settings: PretrainSettings, material: Material, module: Pretraining, seed: int) -> Card:
    view, normaliser = material.view, material.normaliser
    return Card(
        name=settings.model_name,
        study=settings.study,
        split=settings.split,
        seed=settings.seed,
        initial_seed=seed,
        **provenance(settings),
        model=settings.model,
        supervision=settings.model.supervision if isinstance(settings.model, ImageModel) else "none",
        channels=view.channels if isinstance(view, TileView) else None,
        mean=list(normaliser.mean) if normaliser else None,
        std=list(normaliser.std) if normaliser else None,
        points=view.item[0] if isinstance(view, ShapeView) else None,
        best_epoch=module.progress.best_epoch,
        validation_loss=module.progress.best_loss,
        epochs_run=module.progress.epoch,
        train_rows=len(material.train),
        train_groups=material.groups(material.train),
        validation_rows=len(material.validation),
        validation_groups=material.groups(material.validation),
        rows_without_shape=material.without_shape,
    )


def _input_size(view: TileView | ShapeView) -> int:
    return view.item[0]


def _fingerprint(material: Material, stores: Sequence[Path]) -> str:
    """Digest of what is trained on: the same settings on other rows or pixels are another training."""
    digest = hashlib.sha256()
    for rows in (material.train, material.validation):
        digest.update("\n".join(material.table["id"].iloc[rows]).encode() + b"\0")
    digest.update(repr(material.normaliser).encode())
    for store in sorted(stores):
        digest.update(str(read_manifest(store)["content"]).encode())
    return digest.hexdigest()
