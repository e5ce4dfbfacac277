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

from ..artifacts.manifest import provenance
from ..config.model import ImageModel
from ..config.rule_settings import PretrainSettings
from ..config.training import Balance, Conduct
from ..core.atomic import remove_leftovers, write_atomically
from ..core.errors import PhenoloomError
from ..core.gpu_usage import SUFFIX, recorded_use
from ..data.loader import Loader, Rows, stable_seed
from ..data.mixed_source import MixedView
from ..data.sources import ShapeView, TileView
from ..models.checkpoint import (
    CARD,
    WEIGHTS,
    Card,
    Statistics,
    StudyCard,
    Tuned,
    initial_objective,
    save_card,
    save_weights,
)
from ..models.preprocessing import preparation_of
from ..nets import collective as distributed
from .batches import TrainingData
from .compile import compile_networks, recompute_blocks
from .dataset import FOREGROUND, Material, StudyPart, fingerprint, gather
from .inputs import preparation
from .launch import ALONE, World, training_device
from .module import Pretraining, Watch
from .monitors import choose_sample
from .multi_study import Other, gather_mixture, sampled
from .pairs import pair_keys
from .resume import ResumeFolder
from .sampling import Balanced, foreground_weights
from .trainer import fit

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
    others: Sequence[Other] = (),
    tuned: Tuned | None = None,
) -> None:
    """Write `model.safetensors`, `metrics.csv`, `reconstructions.npz` and at last `model.yaml` to the folder `output`.

    Times are told in `throughput.csv` beside them, so that the others are the same bytes in every run.

    `stores` are the shard manifests of the model's view, `threads` decode ahead of the step. Arithmetic on a CPU uses
    `training.threads` threads whatever `threads` is, because the order of sums, and so the weights, depends on it.
    With a `world` of several processes each of them calls this, and the first one writes. `others` are the studies that
    the settings name beside the own one. `tuned` says how those of the `settings` were chosen that a search has found.
    Raises PhenoloomError for too few rows, for a loss that is not finite and for an embedding that collapsed; the last
    good state then stays in `resume/`.
    """
    first = world.rank() == 0
    if first:
        for name in (CARD, METRICS, THROUGHPUT, EXAMPLES, WEIGHTS):
            remove_leftovers(output / name)
    if settings.mixture:
        material = gather_mixture(settings, index, folds, stores, others)
    else:
        material = gather(settings, index, folds, stores)
    read = [*(stores if settings.trained_here else []), *(store for other in others for store in other.stores)]
    with fitted(settings, material, read, output, threads, world, accelerator, conduct) as module:
        if not first:
            return
        module.objective.load_state_dict(module.progress.best)
        examples = _examples(module, _shown(settings, material)[1][:EXAMPLE_COUNT])
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
    # The first draw is that of models from before there were others.
    seed = stable_seed(settings.seed, settings.split, *([training.seed] if training.seed else []))
    pl.seed_everything(seed, verbose=False)
    device = training_device(accelerator, world.rank() % world.devices)
    names = material.inputs or (material.view.channels if isinstance(material.view, TileView) else None)
    size = len(names) if names else _points(material)
    objective = initial_objective(settings.model, size or 0, seed, names, placed=material.inputs is not None)
    if world.size > 1:
        distributed.synchronise_batch_norms(objective)
    if conduct.gradient_checkpointing:
        recompute_blocks(objective)
    if conduct.compile:
        compile_networks(objective)
    objective = objective.to(device)
    resume = ResumeFolder(output, settings.digest(), fingerprint(material, stores))
    prepare = preparation(settings.model, material, objective.makes_views)
    sample = choose_sample(*_shown(settings, material), material.labels, seed)
    keys = pair_keys(material.table, objective.pairs) if objective.pairs else None
    with Loader(material.view, threads, device) as train, Loader(material.view, threads, device) as validation:
        samplers = _samplers(settings, material)
        data = TrainingData(train, validation, material.train, material.validation, sample, prepare, keys, *samplers)
        name = f"{settings.model_name} {settings.split}"
        module = Pretraining(name, objective, training, data, seed, resume, conduct.collapse)
        module.watch = watch
        with recorded_use(device, output / SUFFIX) if first else nullcontext():
            fit(module, settings, output, device, world)
        yield module


def _shown(settings: PretrainSettings, material: Material) -> tuple[Rows, Rows]:
    """Rows of training and of validation that monitors and pictures look at."""
    return sampled(material, settings.study) if settings.mixture else (material.train, material.validation)


@torch.inference_mode()
def _examples(module: Pretraining, rows: Rows) -> dict[str, np.ndarray]:
    """Inputs and reconstructions of some validation rows, float16 in the unit of the model's input."""
    objective = module.objective.eval()
    (batch,) = module.data.validation.batches([rows])
    inputs = module.data.prepare(batch, None, rows)
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


def _samplers(settings: PretrainSettings, material: Material) -> list[Balanced | None]:
    """Orders of training and of validation other than each row once: by shares of studies, or by foreground.

    Validation takes as many rows as there are, and knows no foreground: every tile counts alike.
    """
    training, several = settings.model.training, isinstance(material.view, MixedView)
    if not several and not training.foreground_exponent:
        return [None, None]
    train, held, weights = {settings.study: material.train}, {settings.study: material.validation}, {}
    parts = np.ones(1)
    if isinstance(material.view, MixedView):
        starts = dict(zip((part.name for part in material.studies), material.view.starts[:-1], strict=True))
        parts = np.array([part.share for part in material.studies])
        train = {part.name: part.train + starts[part.name] for part in material.studies}
        held = {part.name: part.validation + starts[part.name] for part in material.studies}
    if training.foreground_exponent:
        foreground = material.table[FOREGROUND].to_numpy(np.float64)
        exponent = training.foreground_exponent
        weights = {name: foreground_weights(foreground[rows], exponent, name) for name, rows in train.items()}
    balance = training.balance if several else Balance()
    return [Balanced(train, balance, parts, weights), Balanced(held, Balance(), parts) if several else None]


def _points(material: Material) -> int | None:
    """Points of a contour, in a material of contours."""
    views = [material.view, *(part.view for part in material.studies)]
    found = {view.item[0] for view in views if isinstance(view, ShapeView)}
    if len(found) > 1:
        raise PhenoloomError(
            f"One model takes contours of one number of points, and the studies have {sorted(found)}; set "
            "`shapes.points` alike"
        )
    return found.pop() if found else None


def _card(
    settings: PretrainSettings, material: Material, module: Pretraining, stores: Sequence[Path], tuned: Tuned | None
) -> Card:
    normaliser = material.normaliser
    return Card(
        name=settings.model_name,
        study=settings.study,
        split=settings.split,
        seed=settings.seed,
        initial_seed=module.seed,
        **provenance(settings),
        model=settings.model,
        supervision=settings.model.supervision if isinstance(settings.model, ImageModel) else "none",
        channels=material.channels,
        inputs=material.inputs,
        mean=list(normaliser.mean) if normaliser else None,
        std=list(normaliser.std) if normaliser else None,
        fold_statistics={k: Statistics.of(n) for k, n in material.fold_normalisers.items()} or None,
        points=_points(material),
        studies=[_study_card(part) for part in material.studies] or None,
        precision=module.progress.precision or None,
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


def _study_card(part: StudyPart) -> StudyCard:
    """What a model's card says of one of several studies that it was trained on."""
    tiles = part.view if isinstance(part.view, TileView) else None
    return StudyCard(
        study=part.name,
        share=round(part.share, 6),
        rows=part.rows,
        train_rows=len(part.train),
        validation_rows=len(part.validation),
        channels=tiles.channels if tiles else None,
        pixel_size_um=tiles.pixel_size_um if tiles else None,
        statistics=Statistics.of(part.normaliser) if part.normaliser else None,
        taken_out=dict(part.taken_out),
    )
