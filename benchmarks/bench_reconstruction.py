"""Measure how near outlines come back from few numbers: autoencoders, Fourier series and principal components.

The error is the mean distance between an outline and its reconstruction, in both directions, in % of its diameter, on
outlines that nothing was fitted to. A Fourier series of K harmonics has 4 K numbers, which include pose and start;
models and principal components know neither, and are compared in the best pose. Principal components are those of
outlines in the poses that fit their mean best, as in VAMPIRE. The exact matrix, measured in the same way, shows the
limit of any model.

With `--study results/mpeg7`, the models of that study that have a decoder (split fold-0) reconstruct its test fold;
without, outlines are made up and autoencoders are trained for a moment. The error on the train outlines is printed too:
if it is as large, a model has not learned enough; if it is far smaller, it has seen too few outlines.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from phenoloom.config.model import ShapeModel
from phenoloom.data.sources import ContourSource
from phenoloom.models.checkpoint import initial_objective, load_objective, read_card
from phenoloom.nets.distance_matrix import planar_points
from phenoloom.objectives import Objective
from phenoloom.shapes.alignment import contour_distance, diameters, mean_outline, posed, reconstruction_errors
from phenoloom.shapes.distance_matrix import distance_matrices
from phenoloom.shapes.polygons import Polygons, standard_contours
from phenoloom.splits.split import TEST, TRAIN, Split

Outlines = NDArray[np.float32]
NUMBERS = (4, 8, 16, 32, 64, 128)
MEAN_OF = 500


def fourier_errors(test: Outlines, numbers: int) -> NDArray[np.float64]:
    """Elliptic Fourier series of numbers / 4 harmonics: of points at equal steps, the complex series of as many."""
    harmonics = min(numbers // 4, (test.shape[1] - 1) // 2)
    series = np.fft.fft(test[..., 0] + 1j * test[..., 1].astype(np.float64), axis=1)
    series[:, harmonics + 1 : test.shape[1] - harmonics] = 0
    back = np.fft.ifft(series, axis=1)
    found: NDArray[np.float64] = contour_distance(np.stack([back.real, back.imag], 2), test) / diameters(test)
    return found


class Aligned:
    """Outlines in the poses that fit the mean of the train side best."""

    def __init__(self, train: Outlines, test: Outlines) -> None:
        mean = mean_outline(train[:MEAN_OF])
        self.train, self.test = (posed(part, np.broadcast_to(mean, part.shape)) for part in (train, test))

    def errors(self, numbers: int) -> NDArray[np.float64]:
        """Of test outlines from so many principal components of the train side."""
        flat = self.train.reshape(len(self.train), -1)
        fitted = PCA(min(numbers, *flat.shape), svd_solver="full").fit(flat)
        back = fitted.inverse_transform(fitted.transform(self.test.reshape(len(self.test), -1)))
        return reconstruction_errors(back.reshape(self.test.shape), self.test)


@torch.inference_mode()
def model_errors(objective: Objective, test: Outlines) -> NDArray[np.float64] | None:
    back = objective.reconstruct(torch.from_numpy(test))
    return None if back is None else reconstruction_errors(back.numpy(), test)


def of_study(study: Path) -> tuple[Outlines, Outlines]:
    """Train and test outlines of fold-0, of scale 1."""
    index = pq.read_table(study / "index.parquet", columns=["id", "image_id", "plate", "well"]).to_pandas()
    view = ContourSource(index, sorted((study / "shapes").glob("*.json")))
    outlines = np.empty((len(view), *view.item), np.float32)
    view.read(np.arange(len(view)), outlines)
    roles = Split.read(study / "folds.parquet").roles(index[view.found], "fold-0")
    return outlines[roles == TRAIN], outlines[roles == TEST]


def made_up(count: int) -> Outlines:
    rng = np.random.default_rng(0)
    t = np.arange(640) * 2 * np.pi / 640
    waves = sum(rng.normal(size=(count, 1)) / k * np.cos(k * t + rng.uniform(0, 6, (count, 1))) for k in range(2, 9))
    radius = 1 + 0.2 * waves
    fine = np.stack([1.3 * radius * np.cos(t), radius * np.sin(t)], axis=2)
    outlines = standard_contours(Polygons.from_array(fine), 64)[0]
    return (outlines / np.sqrt(np.square(outlines).sum(2).mean(1))[:, None, None]).astype(np.float32)


def briefly_trained(train: Outlines, latent: int, steps: int) -> Objective:
    settings = {"view": "shapes", "width": 8, "latent": latent, "objective": {"name": "ae"}}
    objective = initial_objective(ShapeModel.model_validate(settings), train.shape[1], 0).train()
    optimiser = torch.optim.AdamW(objective.parameters(), 3e-3)
    rng = np.random.default_rng(0)
    for _ in range(steps):
        loss = objective(torch.from_numpy(train[rng.choice(len(train), 64)])).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return objective.eval()


def models_of(study: Path) -> dict[str, tuple[int, Objective]]:
    found = {}
    for folder in sorted((study / "models").glob("*/fold-0")):
        if (folder / "model.yaml").exists() and isinstance((card := read_card(folder)).model, ShapeModel):
            found[folder.parent.name] = card.model.latent, load_objective(folder, card)
    return found


def of_matrix(test: Outlines) -> NDArray[np.float64]:
    """Of the outlines that the exact distance matrices give back."""
    points, _ = planar_points(torch.from_numpy(distance_matrices(test)))
    return reconstruction_errors(points.numpy(), test)


def row(
    name: str,
    numbers: int,
    errors: NDArray[Any],
    fourier: NDArray[Any],
    seen: NDArray[Any] | None = None,
) -> dict[str, Any]:
    percent = 100 * errors
    # As many numbers as coordinates give every outline back.
    ratio = float(np.mean(fourier) / np.mean(errors)) if np.mean(errors) > 1e-6 else np.nan
    shown = {"way": name, "numbers": numbers, "mean %": percent.mean(), "95 %": np.quantile(percent, 0.95), "x": ratio}
    return shown | {"trained on %": np.nan if seen is None else 100 * seen.mean()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer outlines and steps")
    parser.add_argument("--study", type=Path, help="results folder of a study with models of contours")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.study:
        train, test = of_study(arguments.study)
        models = models_of(arguments.study)
    else:
        outlines = made_up(600 if arguments.quick else 3000)
        train, test = outlines[::2], outlines[1::2]
        steps = 100 if arguments.quick else 2000
        models = {f"ours, {steps} steps, {n}": (n, briefly_trained(train, n, steps)) for n in NUMBERS}
    aligned = Aligned(train, test)
    fourier = {numbers: fourier_errors(test, numbers) for numbers in NUMBERS}
    rows = [row("Fourier series", numbers, errors, errors) for numbers, errors in fourier.items()]
    rows += [row("aligned components", numbers, aligned.errors(numbers), fourier[numbers]) for numbers in NUMBERS]
    rows.append(row("the matrix itself", test.shape[1] ** 2, of_matrix(test), fourier[NUMBERS[-1]]))
    for name, (latent, objective) in models.items():
        errors, seen = model_errors(objective, test), model_errors(objective, train[: len(test)])
        if errors is not None:
            rows.append(row(name, latent, errors, fourier.get(latent, fourier_errors(test, latent)), seen))
    print(
        f"{len(test)} test outlines, {len(train)} to fit to; x: times nearer than the Fourier series of as many numbers"
    )
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.2f}"))


if __name__ == "__main__":
    main()
