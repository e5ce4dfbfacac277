"""Layout of the results folder: the one module that spells paths.

```
results/index.html                                      the overview of all studies
results/<study>/sheet.parquet  index.parquet  folds.parquet  scores.parquet  ...
results/<study>/{tiles,shapes,distances,descriptors}/<shard>.{zarr,parquet,json}
results/<study>/models/<model>/<split>/model.safetensors  model.yaml  metrics.csv  ...
results/<study>/tuning/<model>/<split>/chosen.yaml  trials.tsv  worker-<k>.json
results/<study>/embeddings/<representation>/<split>.parquet
results/<study>/transfer/<source>/...
results/logs/<study>/<rule>/<job>.log    results/benchmarks/<study>/<rule>/<job>.tsv
```

Only methods in the plural (`manifests`, `models`, ...) look at the disk: they list what exists, sorted. Everything else
is a path that may not exist. Names of studies, shards, models and splits may be Snakemake's wildcards (`{study}`):
paths are then patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

WEIGHTS, CARD = "model.safetensors", "model.yaml"
GPU_USAGE = "device.json"
SHAPE_SUMMARY = ".shapes.npz"
"""Suffix of the shape space beside a table of vectors of contours."""


_STEPS = {
    **{name: name for name in ("sheet", "objects", "index", "folds")},
    **dict.fromkeys(("scores", "comparisons"), "compare"),
}
_STEPS_OF_FOLDERS = {"tiles": "convert", "shapes": "contours", "descriptors": "describe", "scores": "classify"}


def step_of(table: Path) -> str | None:
    """Return the rule that writes a Parquet table of a study; None for a table of any other place."""
    parents = [parent.name for parent in table.parents]
    if parents[0] in _STEPS_OF_FOLDERS:
        return _STEPS_OF_FOLDERS[parents[0]]
    if "embeddings" in parents[1:2]:
        return "transfer_embed" if "transfer" in parents[3:4] else "embed"
    return "transfer" if "transfer" in parents[1:2] else _STEPS.get(table.stem)


class ResultsFolder:
    """Folder of the results of all studies.

    Attributes:
        path: the folder; `results` unless the configuration says otherwise.
        overview: page of all studies.
        overview_log: log of the job that writes the overview.
        cluster_logs: folder of the logs of a cluster's own jobs.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.overview = path / "index.html"
        self.overview_log = path / "logs" / "overview.log"
        self.cluster_logs = path / "logs" / "slurm"

    def study(self, name: str) -> StudyFolder:
        """Return the folder of a study."""
        return StudyFolder(self.path / name)

    def studies(self) -> list[StudyFolder]:
        """List the studies that have a sheet and benchmarks."""
        folders = [self.study(benchmarks.name) for benchmarks in sorted((self.path / "benchmarks").glob("*/"))]
        return [folder for folder in folders if folder.sheet_manifest.exists()]


class ShardFolder:
    """Stores of one kind, one a shard, each with a table and a manifest beside it.

    Attributes:
        path: the folder of the stores.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def manifest(self, shard: str) -> Path:
        """Return the manifest of a shard, which is written after its store and its table."""
        return self.path / f"{shard}.json"

    def table(self, shard: str) -> Path:
        """Return the table of a shard's rows."""
        return self.path / f"{shard}.parquet"

    def manifests(self) -> list[Path]:
        """List the manifests that exist."""
        return sorted(self.path.glob("*.json"))

    def tables(self) -> list[Path]:
        """List the tables that exist."""
        return sorted(self.path.glob("*.parquet"))

    def stores(self) -> dict[str, Path]:
        """Return the Zarr stores that have a manifest, by shard."""
        return {manifest.stem: manifest.with_suffix(".zarr") for manifest in self.manifests()}


class ModelFolder:
    """One trained model: `models/<model>/<split>` of a study, or any folder that such a model was copied to.

    Attributes:
        path: the folder.
        model: name of the model.
        split: split that the model was trained on, `fold-<k>` or `all`.
        weights: weights of the network.
        card: model card, written last: what was trained on what, and how inputs are prepared.
        metrics: table of metrics by epoch.
        throughput: table of items a second by epoch.
        reconstructions: sample inputs and their reconstructions, of models that reconstruct.
        gpu_usage: how the training used its GPU, where it had one.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.model, self.split = path, path.parent.name, path.name
        self.weights = path / WEIGHTS
        self.card = path / CARD
        self.metrics = path / "metrics.csv"
        self.throughput = path / "throughput.csv"
        self.reconstructions = path / "reconstructions.npz"
        self.gpu_usage = path / GPU_USAGE


class SearchFolder:
    """One search for settings: `tuning/<model>/<split>` of a study.

    Attributes:
        path: the folder.
        chosen: settings of the best trial, which training reads.
        trials: table of all trials.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.chosen = path / "chosen.yaml"
        self.trials = path / "trials.tsv"

    def worker(self, number: int | str) -> Path:
        """Return the record of one of the jobs that share the trials."""
        return self.path / f"worker-{number}.json"


class EmbeddingFolder:
    """Tables of vectors: `<representation>/<split>.parquet`.

    Attributes:
        path: the folder of all representations.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def table(self, representation: str, split: str) -> Path:
        """Return the vectors of a representation."""
        return self.path / representation / f"{split}.parquet"

    def tables(self) -> list[Path]:
        """List the tables that exist."""
        return sorted(self.path.glob("*/*.parquet"))

    def shape_summaries(self, representation: str) -> list[Path]:
        """List the shape spaces of a representation, one a split."""
        return sorted((self.path / representation).glob(f"*{SHAPE_SUMMARY}"))

    def gpu_usages(self) -> list[Path]:
        """List the records of how embeddings used their GPU."""
        return sorted(self.path.glob(f"*/*.{GPU_USAGE}"))


class TransferFolder:
    """Tests of another study's encoders and probes: `transfer/<source>` of a study.

    Attributes:
        path: the folder.
        embeddings: vectors of the study's rows as the encoders of the other study make them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.embeddings = EmbeddingFolder(path / "embeddings")

    def scores(self, representation: str) -> Path:
        """Return the scores of a representation."""
        return self.path / f"{representation}.parquet"

    def tables(self) -> list[Path]:
        """List the tables of scores that exist."""
        return sorted(self.path.glob("*.parquet"))


class StudyFolder:
    """Every path of the results of one study.

    Attributes:
        path: the folder, `results/<study>`; logs and benchmarks are beside it.
        name: name of the study.
        results: folder of all studies.
        simulation: manifest of simulated raw images.
        sheet, sheet_manifest: table of images.
        objects, objects_manifest: labels, groups and places of objects, for a study that has a table of them.
        index, index_manifest: table of all tiles or contours.
        quarantine: table of images that could not be used, with reasons.
        folds, folds_manifest: table of the split.
        tiles, shapes: stores of tiles and of contours.
        distances: stores of distance matrices, which have no tables.
        descriptors: tables of classical descriptors, which have neither stores nor manifests.
        embeddings: vectors of all representations.
        audit: table of the scores of what could explain the labels besides the phenotype.
        scores: table of the scores of all representations, and of the audit.
        comparisons: table of means and paired differences.
        annotated_embeddings: vectors of all representations as AnnData.
        report: page of the study.
        headline: what the overview shows of the study.
        benchmarks: folder of Snakemake's benchmark files.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name
        self.results = ResultsFolder(path.parent)
        self.simulation = path / "raw" / "simulate.json"
        self.sheet, self.sheet_manifest = path / "sheet.parquet", path / "sheet.json"
        self.objects, self.objects_manifest = path / "objects.parquet", path / "objects.json"
        self.index, self.index_manifest = path / "index.parquet", path / "index.json"
        self.quarantine = path / "quarantine.tsv"
        self.folds, self.folds_manifest = path / "folds.parquet", path / "folds.json"
        self.tiles, self.shapes = ShardFolder(path / "tiles"), ShardFolder(path / "shapes")
        self.distances, self.descriptors = ShardFolder(path / "distances"), ShardFolder(path / "descriptors")
        self.embeddings = EmbeddingFolder(path / "embeddings")
        self.audit = path / "audit.parquet"
        self.scores, self.comparisons = path / "scores.parquet", path / "comparisons.parquet"
        self.annotated_embeddings = path / "embeddings.h5ad"
        self.report, self.headline = path / "report" / "index.html", path / "report" / "headline.json"
        self.benchmarks = path.parent / "benchmarks" / path.name

    def view(self, view: str) -> ShardFolder:
        """Return the stores of a view: `tiles` or `shapes`."""
        return {"tiles": self.tiles, "shapes": self.shapes}[view]

    def model(self, model: str, split: str) -> ModelFolder:
        """Return the folder of a trained model."""
        return ModelFolder(self.path / "models" / model / split)

    def models(self) -> list[ModelFolder]:
        """List the finished models by name and split."""
        return [ModelFolder(card.parent) for card in sorted((self.path / "models").glob(f"*/*/{CARD}"))]

    def search(self, model: str, split: str) -> SearchFolder:
        """Return the folder of a search for settings."""
        return SearchFolder(self.path / "tuning" / model / split)

    def searches(self) -> list[SearchFolder]:
        """List the finished searches by model and split."""
        return [SearchFolder(chosen.parent) for chosen in sorted((self.path / "tuning").glob("*/*/chosen.yaml"))]

    def transfer(self, source: str) -> TransferFolder:
        """Return the tests of the encoders of the study `source`."""
        return TransferFolder(self.path / "transfer" / source)

    def transfers(self) -> list[TransferFolder]:
        """List the tests of other studies' encoders, by study."""
        return [TransferFolder(path) for path in sorted((self.path / "transfer").glob("*/"))]

    def representation_scores(self, representation: str) -> Path:
        """Return the scores of one representation."""
        return self.path / "scores" / f"{representation}.parquet"

    def all_representation_scores(self) -> list[Path]:
        """List the scores of single representations that exist."""
        return sorted((self.path / "scores").glob("*.parquet"))

    def benchmark(self, rule: str, values: Sequence[str] = ()) -> Path:
        """Return the benchmark file of a job; `values` are those of its wildcards other than the study."""
        return self.benchmarks / rule / f"{'-'.join(values) or 'all'}.tsv"

    def benchmark_files(self) -> list[Path]:
        """List the benchmark files that exist, by rule and job."""
        return sorted(self.benchmarks.glob("*/*.tsv"))

    def log(self, rule: str, values: Sequence[str] = ()) -> Path:
        """Return the log of a job; `values` are those of its wildcards other than the study."""
        logs = self.path.parent / "logs" / self.name
        return logs / rule / f"{'-'.join(values)}.log" if values else logs / f"{rule}.log"
