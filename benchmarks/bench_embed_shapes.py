"""Measure memory and time of embedding contours: ten times as many must take ten times the time, and little memory.

The step `embed` embeds each number of contours in its own process, from a made-up store, with an untrained `shape-ae`
of width 8. Peak memory is that of the process. The result may grow, vectors and their metadata, and a kilobyte for each
contour in tables of ids, roles and groups; contours, matrices and intermediate values may not. The alternative holds
all contours in one array, embeds them in batches and keeps the vectors in a list.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phenoloom.artifacts.parquet import table_metadata
from phenoloom.artifacts.provenance import Provenance
from phenoloom.config.model import ShapeModel
from phenoloom.shapes.store import ArrayWriter

POINTS, LATENT, BLOCK = 64, 64, 8192
BOOKKEEPING = 1000
WAYS = ("all in one array", "ours: the step embed")


def write_study(folder: Path, count: int) -> None:
    """A store of `count` contours in one shard, an index and folds."""
    rng = np.random.default_rng(0)
    (folder / "shapes").mkdir(parents=True)
    writer = ArrayWriter(folder / "shapes/0000.zarr", "contours", (POINTS, 2), {})
    t = np.arange(POINTS) * 2 * np.pi / POINTS
    scales = []
    for start in range(0, count, BLOCK):
        n = min(BLOCK, count - start)
        waves = sum(rng.normal(size=(n, 1)) / k * np.cos(k * t + rng.uniform(0, 6, (n, 1))) for k in range(2, 6))
        radius = 20 * (1 + 0.2 * waves)
        contours = np.stack([1.4 * radius * np.cos(t), radius * np.sin(t)], axis=2).astype(np.float32)
        scales.append(np.sqrt(np.square(contours).sum(2).mean(1)))
        writer.append(contours)
    content = writer.close()
    ids = [f"P1/A01/1#{i:07d}" for i in range(count)]
    scale = pa.array(np.concatenate(scales).astype(np.float32))
    pq.write_table(pa.table({"id": ids, "scale": scale}), folder / "shapes/0000.parquet")
    manifest = {"schema": 1, "content": content, "arrays": writer.arrays()}
    (folder / "shapes/0000.json").write_text(json.dumps(manifest))
    place = {"image_id": ["P1/A01/1"] * count, "plate": ["P1"] * count, "well": ["A01"] * count}
    label = [("a", "b")[i % 2] for i in range(count)]
    shard = {"shard": ["0000"] * count, "position": np.arange(count), "label": label}
    pq.write_table(pa.table({"id": ids, **place, **shard}), folder / "index.parquet")
    groups = [f"P1/A01/{i // 500}" for i in range(count)]
    fold = pa.array(np.arange(count) // 500 % 2, pa.int16())
    folds = pa.table({"id": ids, "group": groups, "label": label, "fold": fold})
    facts = {"unit": "object", "count": 2, "multi_label": False, "classes": {"a": count // 2, "b": count // 2}}
    pq.write_table(folds.replace_schema_metadata(table_metadata(facts)), folder / "folds.parquet")


def model() -> ShapeModel:
    return ShapeModel.model_validate({"view": "shapes", "width": 8, "latent": LATENT, "objective": {"name": "ae"}})


def write_model(folder: Path) -> None:
    from phenoloom.models.checkpoint import Card, initial_objective, save_card, save_weights

    unknown = {"study": "made-up", "settings_sha256": "0" * 64, "phenoloom": "0", "commit": None}
    counts = {name: 0 for name in Card.model_fields if name.endswith(("_rows", "_groups", "_epoch", "_run", "seed"))}
    none = {"channels": None, "mean": None, "std": None, "validation_loss": 0.0, "rows_without_shape": 0}
    values = {**counts, **unknown, **none, "name": "shape-ae", "split": "fold-0", "points": POINTS}
    values |= {"model": model(), "precision": "float32", "preparation": {}}
    card = Card.model_validate(values)
    save_weights(folder, initial_objective(card.model, POINTS, 0).state_dict())
    save_card(folder, card)


def embed_by_step(folder: Path) -> None:
    from phenoloom.data.study_input import StudyInput
    from phenoloom.embedding.embed import embed
    from phenoloom.embedding.representation import Encoder, Representation

    study = StudyInput(
        "made-up", folder / "index.parquet", folder / "folds.parquet", (folder / "shapes" / "0000.json",)
    )
    shapes = Representation("shape-ae", Encoder(folder / "model", "fold-0"))
    embed(shapes, study, folder / "embeddings" / "fold-0.parquet", Provenance("made-up", {}, "0" * 64), 1)


def embed_in_memory(folder: Path) -> None:
    import torch
    import zarr

    from phenoloom.models.checkpoint import load_objective, read_card

    torch.set_num_threads(1)
    contours = zarr.open_array(folder / "shapes/0000.zarr/contours", mode="r")[:]
    scale = pq.read_table(folder / "shapes/0000.parquet")["scale"].to_numpy()
    unit = torch.from_numpy((contours / scale[:, None, None]).astype(np.float32))
    objective = load_objective(folder / "model", read_card(folder / "model"))
    with torch.inference_mode():
        vectors = torch.cat([objective.embed(batch) for batch in unit.split(64)]).numpy()
    frame = pq.read_table(folder / "index.parquet").to_pandas()
    for column in range(LATENT):
        frame[f"shape-ae_{column:04d}"] = vectors[:, column]
    frame.to_parquet(folder / "frame.parquet")


def measure(way: str, folder: Path) -> tuple[float, float]:
    """Peak bytes and processor seconds of one way, in a process of its own."""
    command = [sys.executable, __file__, "--way", way, "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    peak, seconds = done.stdout.split()[-2:]
    return float(peak), float(seconds)


def run_way(way: str, folder: Path) -> None:
    started = time.process_time()
    (embed_by_step if way == WAYS[1] else embed_in_memory)(folder)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, time.process_time() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer contours")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        run_way(arguments.way, arguments.folder)
        return
    sizes = (2_000, 8_000) if arguments.quick else (10_000, 100_000)
    peaks: dict[tuple[str, int], tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for count in sizes:
            folder = Path(scratch) / str(count)
            write_study(folder, count)
            write_model(folder / "model")
            for way in WAYS:
                peaks[way, count] = measure(way, folder)
        result = pq.read_table(Path(scratch) / str(sizes[1]) / "embeddings/fold-0.parquet").nbytes
    print(f"{'':24}{'peak MB':>12}{'peak MB':>12}{'grows by':>12}{'of it result':>14}{'contours':>12}")
    print(f"{'':24}{sizes[0]:12,}{sizes[1]:12,}{'MB':>12}{'MB':>14}{'a CPU-s':>12}")
    grown = {}
    for way in WAYS:
        (few, _), (many, seconds) = peaks[way, sizes[0]], peaks[way, sizes[1]]
        grown[way] = many - few
        share = result * (1 - sizes[0] / sizes[1])
        print(
            f"{way:24}{few / 1e6:12.0f}{many / 1e6:12.0f}{grown[way] / 1e6:12.1f}{share / 1e6:14.1f}"
            f"{sizes[1] / seconds:12,.0f}"
        )
    beside = (grown[WAYS[1]] - share) / (sizes[1] - sizes[0])
    print(
        f"target: ours grows by <= {BOOKKEEPING} bytes a contour beside the result (its matrix has {4 * POINTS**2}): "
        f"{'met' if beside <= BOOKKEEPING else 'NOT MET'} ({beside:.0f})"
    )


if __name__ == "__main__":
    main()
