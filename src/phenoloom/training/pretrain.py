"""Train one model on one split's train groups; a killed run continues by itself to the same bits."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ..config.hardware import Hardware
from ..config.rule_settings import PretrainSettings
from ..config.training import RunOptions
from ..core.atomic import remove_leftovers, write_atomically
from ..data.loader import Rows
from ..models.checkpoint import (
    CARD,
    WEIGHTS,
    Tuned,
    save_card,
    save_weights,
)
from .dataset import gather
from .fit import _shown, fitted
from .launch import process_rank
from .model_card import _card
from .module import Pretraining
from .multi_study import Other, gather_mixture

METRICS, THROUGHPUT, EXAMPLES = "metrics.csv", "throughput.csv", "reconstructions.npz"
EXAMPLE_COUNT = 8


def pretrain(
    settings: PretrainSettings,
    index: Path,
    folds: Path,
    stores: list[Path],
    output: Path,
    hardware: Hardware = Hardware(),  # noqa: B008 - frozen
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
    others: Sequence[Other] = (),
    tuned: Tuned | None = None,
) -> None:
    """Write `model.safetensors`, `metrics.csv`, `reconstructions.npz` and at last `model.yaml` to the folder `output`.

    Times are told in `throughput.csv` beside them, so that the others are the same bytes in every run.

    `stores` are the shard manifests of the model's view; `hardware.threads` threads decode ahead of the step.
    Arithmetic on a CPU uses `training.threads` threads whatever that number is, because the order of sums, and so the
    weights, depends on it. Of several processes each one calls this, and the first one writes. `others` are the
    studies that the settings name beside the own one. `tuned` says how a search has chosen settings.
    Raises PhenoloomError for too few rows, for a loss that is not finite and for an embedding that collapsed; the last
    good state then stays in `resume/`.
    """
    first = process_rank(hardware) == 0
    if first:
        for name in (CARD, METRICS, THROUGHPUT, EXAMPLES, WEIGHTS):
            remove_leftovers(output / name)
    if settings.mixture:
        material = gather_mixture(settings, index, folds, stores, others)
    else:
        material = gather(settings, index, folds, stores)
    read = [*(stores if settings.trained_here else []), *(store for other in others for store in other.stores)]
    with fitted(settings, material, read, output, hardware, options) as module:
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
