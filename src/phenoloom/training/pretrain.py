"""Train one model on one split's train groups; a killed run continues by itself to the same bits."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ..artifacts.layout import ModelFolder
from ..config.hardware import Hardware
from ..config.training import RunOptions
from ..core.atomic import remove_leftovers, write_atomically
from ..data.loader import Rows
from ..data.study_input import StudyInput
from ..models.checkpoint import Tuned, save_card, save_weights
from .dataset import TrainingSet, read_training_set
from .fit import fitted, shown_rows
from .launch import process_rank
from .model_card import model_card
from .module import Pretraining
from .multi_study import read_studies
from .task import TrainingTask

EXAMPLE_COUNT = 8


def pretrain(
    task: TrainingTask,
    studies: Sequence[StudyInput],
    output: Path,
    hardware: Hardware = Hardware(),  # noqa: B008 - frozen
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
    tuned: Tuned | None = None,
) -> None:
    """Write `model.safetensors`, `metrics.csv`, `reconstructions.npz` and at last `model.yaml` to the folder `output`.

    Times are written to `throughput.csv` beside them, so that the other files are the same bytes in every run.

    Args:
        task: The training.
        studies: The study that vectors will be made of, and the others that the settings name.
        output: Folder of the model.
        hardware: The processes of the training: each of them calls this, and the first one writes. `hardware.threads`
            threads decode ahead of the step; arithmetic on a CPU uses `training.threads` whatever that number is,
            because the order of sums, and so the weights, depends on it.
        options: How the training is run.
        tuned: How a search has chosen settings.

    Raises:
        PhenoloomError: There are too few rows.
        TrainingFailedError: The loss is not finite, or the embedding has collapsed; the last good state stays in
            `resume/`.
    """
    first, folder = process_rank(hardware) == 0, ModelFolder(output)
    if first:
        for path in (folder.card, folder.metrics, folder.throughput, folder.reconstructions, folder.weights):
            remove_leftovers(path)
    own = next(study for study in studies if study.name == task.study)
    data = training_set(task, own, studies)
    with fitted(task, data, output, hardware, options) as module:
        if not first:
            return
        module.objective.load_state_dict(module.progress.best)
        examples = _examples(module, shown_rows(task, data)[1][:EXAMPLE_COUNT])
    save_weights(output, module.progress.best)
    _write_rows(folder.metrics, module.progress.history)
    _write_rows(folder.throughput, module.progress.speeds)
    if examples:
        write_atomically(folder.reconstructions, lambda file: np.savez(file, allow_pickle=False, **examples))
    save_card(output, model_card(task, data, module, own.stores, tuned))
    module.safeguard.resume.remove()


def training_set(task: TrainingTask, own: StudyInput, studies: Sequence[StudyInput]) -> TrainingSet:
    """Return what a training reads: the study `own`, or the mixture of studies that the settings name."""
    mixture = task.mixture
    return read_training_set(task, own) if mixture is None else read_studies(task, mixture, studies)


@torch.inference_mode()
def _examples(module: Pretraining, rows: Rows) -> dict[str, np.ndarray]:
    """Return inputs and reconstructions of some validation rows, float16 in the unit of the model's input."""
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
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, lambda file: file.write(text.getvalue().encode()))
