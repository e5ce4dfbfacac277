"""Measure how far vectors move when the same outline is described differently.

phenoloom's encoders, the encoder of the reference and fixed descriptors are compared, in units of the typical distance
between two objects: 0 is no move, 1 is another object. Without arguments, outlines are made up and encoders have random
weights, which shows what the architectures are invariant to before they learn anything. With `--study results/mpeg7`,
the trained models of that study (split fold-0) embed its contours; `--reference` names the reference.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from phenoloom.config.model import ShapeModel
from phenoloom.embedding.invariance import CHANGES, Moved, invariance
from phenoloom.models.checkpoint import initial_objective, load_objective, read_card
from phenoloom.objectives import Objective
from phenoloom.shapes.fourier import distance_spectrum, efd, fourier, published_efd
from phenoloom.shapes.polygons import Polygons, standard_contours
from phenoloom.shapes.store import ContourStore

Ways = dict[str, Callable[[NDArray[Any]], NDArray[Any]]]
POINTS = 64
DESCRIPTORS: Ways = {
    "distance spectrum": distance_spectrum,
    "fourier": fourier,
    "elliptic fourier": efd,
    "as published": published_efd,
}


def made_up(count: int) -> NDArray[np.float64]:
    """Smooth outlines of about 80 px, in the store's conventions."""
    rng = np.random.default_rng(0)
    t = np.arange(720) * 2 * np.pi / 720
    waves = sum(rng.normal(size=(count, 1)) / k * np.cos(k * t + rng.uniform(0, 6, (count, 1))) for k in range(2, 9))
    radius = 40 * (1 + 0.2 * waves)
    fine = np.stack([1.3 * radius * np.cos(t), radius * np.sin(t)], axis=2)
    return standard_contours(Polygons.from_array(fine), POINTS)[0]


def stored(study: Path, count: int) -> NDArray[np.float64]:
    """Contours of a study, at equal steps through its shards."""
    stores = [ContourStore(path) for path in sorted((study / "shapes").glob("*.json"))]
    every = np.concatenate([block for store in stores for _, block in store.blocks(4096)])
    return every[np.linspace(0, len(every) - 1, min(count, len(every))).astype(int)].astype(np.float64)


def way(objective: Objective) -> Callable[[NDArray[Any]], NDArray[Any]]:
    @torch.inference_mode()
    def embed(contours: NDArray[Any]) -> NDArray[Any]:
        return objective.embed(torch.from_numpy(np.ascontiguousarray(contours, np.float32))).numpy()

    return embed


def untrained(encoder: str) -> Objective:
    settings = {"view": "shapes", "encoder": encoder, "width": 32, "latent": 64, "objective": {"name": "ae"}}
    objective = initial_objective(ShapeModel.model_validate(settings), POINTS, 0)
    # Running statistics of the norms from outlines, as any training has them.
    with torch.no_grad():
        objective.train()(torch.from_numpy(_unit(made_up(256))))
    return objective.eval()


def _unit(contours: NDArray[np.float64]) -> NDArray[np.float32]:
    scale = np.sqrt(np.square(contours).sum(2).mean(1))
    return np.ascontiguousarray(contours / scale[:, None, None], np.float32)


def trained(study: Path) -> dict[str, Objective]:
    folders = [folder for folder in sorted((study / "models").glob("*/fold-0")) if (folder / "model.yaml").exists()]
    cards = {folder: read_card(folder) for folder in folders}
    return {f.parent.name: load_objective(f, card) for f, card in cards.items() if card.points is not None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer outlines")
    parser.add_argument("--study", type=Path, help="results folder of a study with models of contours")
    parser.add_argument("--reference", default="shape-embed", help="name of the reference's model in it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    count = 64 if arguments.quick else 512
    if arguments.study:
        contours, models, reference = stored(arguments.study, count), trained(arguments.study), arguments.reference
        if reference not in models:
            parser.error(f"{arguments.study} has no model {reference}, but {', '.join(models) or 'none'}")
    else:
        reference = "resnet18 (reference)"
        encoders = {"cyclic-resnet (ours)": "cyclic-resnet", reference: "resnet18"}
        contours, models = made_up(count), {name: untrained(encoder) for name, encoder in encoders.items()}
    ways: Ways = {name: way(objective) for name, objective in models.items()} | DESCRIPTORS
    found = {name: invariance(embed, contours, 0) for name, embed in ways.items()}
    print(f"{len(contours)} outlines, median (95th percentile) in units of the typical distance between two\n")
    print(f"{'':30}" + "".join(f"{name:>24}" for name in found))
    for place, change in enumerate(CHANGES):
        print(f"{change:30}" + "".join(f"{_shown(moved[place]):>24}" for moved in found.values()))
    print(f"\ntimes that {reference} moves further:")
    for name in models:
        if name != reference:
            ratios = [
                f"{change} {theirs.median / max(ours.median, 1e-7):,.1f} x"
                for change, ours, theirs in zip(CHANGES, found[name], found[reference], strict=True)
                if max(ours.median, theirs.median) > 1e-5
            ]
            print(f"  than {name}: {'; '.join(ratios)}")


def _shown(moved: Moved) -> str:
    return f"{moved.median:.4f} ({moved.most:.4f})"


if __name__ == "__main__":
    main()
