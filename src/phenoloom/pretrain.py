"""Train one model on one split's train groups; a killed run continues by itself to the same bits."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch

from . import distributed
from .augment import augment
from .channels import Normaliser
from .computing import compile_networks, recompute_blocks
from .config.model import ImageModel
from .config.settings import PretrainSettings
from .config.training import Conduct
from .contour_augment import augment_contours
from .data import Loader, Rows, stable_seed
from .device_use import SUFFIX, recorded_use
from .fitting import fit
from .manifest import provenance, write_atomically
from .material import Material, fingerprint, gather
from .monitors import choose_sample
from .objectives import Objective
from .pairs import pair_keys
from .preparation import preparation_of
from .resume import ResumeFolder, remove_leftovers
from .training import Pretraining, Watch
from .training_data import Prepare, TrainingData
from .views import ShapeView, TileView
from .weights import CARD, WEIGHTS, Card, Tuned, initial_objective, save_card, save_weights
from .world import ALONE, World, training_device

METRICS, THROUGHPUT, EXAMPLES = "metrics.csv", "throughput.csv", "reconstructions.npz"
EXAMPLE_COUNT = 8


def pretrain(
    settings: PretrainSettings,
    index: Path,
    folds: Path,
    stores: list[Path],
    output: Path,
    threads: int,
    world: World = ALONE,
    accelerator: str = "auto",
    conduct: Conduct = Conduct(),  # noqa: B008 - frozen
    tuned: Tuned | None = None,
) -> None:
    """Write `model.safetensors`, `metrics.csv`, `reconstructions.npz` and at last `model.yaml` to the folder `output`.

    Times are told in `throughput.csv` beside them, so that the others are the same bytes in every run.

    `stores` are the shard manifests of the model's view, `threads` decode ahead of the step. Arithmetic on a CPU uses
    `training.threads` threads whatever `threads` is, because the order of sums, and so the weights, depends on it.
    With a `world` of several processes each of them calls this, and the first one writes. `tuned` says how those of the
    `settings` were chosen that a search has found.
    Raises PhenoloomError for too few rows, for a loss that is not finite and for an embedding that collapsed; the last
    good state then stays in `resume/`.
    """
    first = world.rank() == 0
    if first:
        for name in (CARD, METRICS, THROUGHPUT, EXAMPLES, WEIGHTS):
            remove_leftovers(output / name)
    material = gather(settings, index, folds, stores)
    with fitted(settings, material, stores, output, threads, world, accelerator, conduct) as module:
        if not first:
            return
        module.objective.load_state_dict(module.progress.best)
        examples = _examples(module, material.validation[:EXAMPLE_COUNT])
    save_weights(output, module.progress.best)
    _write_rows(output / METRICS, module.progress.history)
    _write_rows(output / THROUGHPUT, module.progress.speeds)
    if examples:
        write_atomically(output / EXAMPLES, lambda file: np.savez(file, allow_pickle=False, **examples))
    save_card(output, _card(settings, material, module, stores, tuned))
    module.resume.remove()


@contextmanager
def fitted(
    settings: PretrainSettings,
    material: Material,
    stores: Sequence[Path],
    output: Path,
    threads: int,
    world: World = ALONE,
    accelerator: str = "auto",
    conduct: Conduct = Conduct(),  # noqa: B008 - frozen
    watch: Watch | None = None,
) -> Iterator[Pretraining]:
    """A training that went through, continued from its state in `output` if there is one; the state stays there.

    `watch` looks at its progress after each epoch, and may stop it.
    """
    first, training = world.rank() == 0, settings.model.training
    torch.set_num_threads(training.threads)
    seed = stable_seed(settings.seed, settings.split)
    pl.seed_everything(seed, verbose=False)
    device = training_device(accelerator, world.rank() % world.devices)
    names = material.view.channels if isinstance(material.view, TileView) else None
    objective = initial_objective(settings.model, material.view.item[0], seed, names)
    if world.size > 1:
        distributed.synchronise_batch_norms(objective)
    if conduct.gradient_checkpointing:
        recompute_blocks(objective)
    if conduct.compile:
        compile_networks(objective)
    objective = objective.to(device)
    resume = ResumeFolder(output, settings.digest(), fingerprint(material, stores))
    prepare = _prepare(settings, material.normaliser, objective)
    sample = choose_sample(material.train, material.validation, material.labels, seed)
    keys = pair_keys(material.table, objective.pairs) if objective.pairs else None
    with Loader(material.view, threads, device) as train, Loader(material.view, threads, device) as validation:
        data = TrainingData(train, validation, material.train, material.validation, sample, prepare, keys)
        name = f"{settings.model_name} {settings.split}"
        module = Pretraining(name, objective, training, data, seed, resume, conduct.collapse)
        module.watch = watch
        with recorded_use(device, output / SUFFIX) if first else nullcontext():
            fit(module, settings, output, device, world)
        yield module


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


def _write_rows(path: Path, rows: Sequence[dict[str, float]]) -> None:
    text = io.StringIO()
    # Rows of a state that an earlier version saved may lack columns.
    names = dict.fromkeys(name for row in rows for name in row)
    writer = csv.DictWriter(text, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, lambda file: file.write(text.getvalue().encode()))


def _card(
    settings: PretrainSettings, material: Material, module: Pretraining, stores: Sequence[Path], tuned: Tuned | None
) -> Card:
    view, normaliser = material.view, material.normaliser
    return Card(
        name=settings.model_name,
        study=settings.study,
        split=settings.split,
        seed=settings.seed,
        initial_seed=module.seed,
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
        preparation=preparation_of(stores),
        tuned=tuned,
    )
