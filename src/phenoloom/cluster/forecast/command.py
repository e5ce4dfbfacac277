"""`phenoloom forecast`: print the forecast as a table or JSON, with every assumption on a line of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ...config import load_study
from ...config.study import Study
from ...core.errors import PhenoloomError
from .cost import GPU_FACTOR, Assumptions, Hours
from .forecast import Forecast, forecast
from .rates import DEFAULTS, Rate, measured_rates
from .sizes import SHARD_LEAST_BYTES, SHARD_MOST_BYTES, SHARDS_MOST, StudySize, read_sizes
from .study_cost import COMPRESSION

_MEMORY = 64e9
"""Bytes of vectors above which the forecast warns."""


@dataclass(frozen=True)
class Question:
    """The command line.

    Attributes:
        table: TSV with a line a study.
        columns: word -> column of the table, where the column has another name.
        like: study of the configuration that all others are run like.
        config_dir: folder of the configuration.
        results: folder of the results that rates are measured on.
        gpu_tflops: TFLOP/s that a GPU sustains; 0: no GPU.
        folds, epochs, tile_size, stride: replace those of `like`.
        per_megapixel: objects in a million pixels, for studies without a number of objects in the table.
        one_plane: whether one plane of each stack and film counts.
        as_json: whether JSON is printed.
    """

    table: Path
    columns: Mapping[str, str]
    like: str
    config_dir: Path
    results: Path
    gpu_tflops: float
    folds: int | None = None
    epochs: int | None = None
    tile_size: int | None = None
    stride: int | None = None
    per_megapixel: float | None = None
    one_plane: bool = False
    as_json: bool = False


def parse_columns(pairs: Sequence[str]) -> dict[str, str]:
    """Return the `word=NAME` pairs of the command line."""
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise PhenoloomError(f"--columns takes pairs such as plates=Sets, found {wrong[0]!r}")
    return {word.strip(): name for word, _, name in (pair.partition("=") for pair in pairs)}


def print_forecast(question: Question) -> None:
    """Print what the studies of the table would cost if they ran like one study of the configuration."""
    for name in ("folds", "epochs", "tile_size", "stride", "per_megapixel"):
        value = getattr(question, name)
        if value is not None and value <= 0:
            raise PhenoloomError(f"--{name.replace('_', '-')} must be above 0, found {value:g}")
    if question.gpu_tflops < 0:
        raise PhenoloomError(f"--gpu-tflops must be 0 (no GPU) or more, found {question.gpu_tflops:g}")
    sizes = read_sizes(question.table, question.columns, question.one_plane)
    pattern = _pattern(question)
    rates, unread = measured_rates(question.results, question.config_dir, DEFAULTS)
    assumptions = Assumptions(rates, question.gpu_tflops, question.per_megapixel, question.epochs)
    done = forecast(sizes, pattern, question.config_dir, assumptions)
    lines = [*_assumptions(question, pattern, sizes, rates), *unread]
    print(_as_json(done, lines) if question.as_json else _as_text(done, lines))


def _pattern(question: Question) -> Study:
    """Return the study that all others are run like, with what the command line replaces."""
    study = load_study(question.like, question.config_dir)
    if question.folds is not None:
        study = study.model_copy(update={"folds": study.folds.model_copy(update={"count": question.folds})})
    changes = {"size": question.tile_size, "stride": question.stride}
    given = {key: value for key, value in changes.items() if value is not None}
    if given:
        if study.tiles is None:
            raise PhenoloomError(f"Study {question.like} has no tiles, so --tile-size and --stride mean nothing")
        study = study.model_copy(update={"tiles": study.tiles.model_copy(update=given)})
    return study


def _as_json(done: Forecast, assumed: Sequence[str]) -> str:
    values = asdict(done) | {"total": asdict(done.total), "assumptions": list(assumed)}
    return json.dumps(values, indent=1)


def _as_text(done: Forecast, assumed: Sequence[str]) -> str:
    head = f"{'step':<10}{'jobs':>9}  {'core-hours (low to high)':>34}  {'GPU-hours (low to high)':>34}"
    lines = [
        f"{done.studies:,} studies, {_bytes(done.raw_bytes)} raw, {done.shards:,} shards, {done.rows:,} rows",
        "",
        f"{head}{'disk':>10}{'files':>13}",
    ]
    for rule, cost in [*done.by_rule.items(), ("total", done.total)]:
        lines.append(
            f"{rule:<10}{cost.jobs:>9,}  {_range(cost.core_hours):>34}  {_range(cost.gpu_hours):>34}"
            f"{_bytes(cost.disk):>10}{cost.files:>13,}"
        )
    if done.most_vector_bytes > _MEMORY:
        lines += [
            "",
            f"Study {done.most_rows_study} alone has {done.most_rows:,} rows with {_bytes(done.most_vector_bytes)} of "
            "vectors in all. `classify` holds those of one representation: choose fewer rows (a larger stride, a part "
            "of the plates) or fewer folds.",
        ]
    return "\n".join([*lines, "", "Assumptions:", *(f"- {line}" for line in assumed)])


def _assumptions(
    question: Question, pattern: Study, sizes: Sequence[StudySize], rates: Mapping[str, Rate]
) -> list[str]:
    models = sorted({r.model for r in pattern.representations.values() if r.model})
    lines = [
        f"Every study runs like `{question.like}`: {len(pattern.representations)} representations, "
        f"models {', '.join(models) or 'none'}, {pattern.folds.count} folds"
        + (f", {question.epochs} epochs." if question.epochs else ", epochs of the model files.")
        + " Training is counted to its last epoch; early stopping makes it shorter.",
        "Pixels are 16-bit and the table's bytes are pixels, so that rows follow from bytes / channels / 2; "
        f"{_cut(question, pattern)}.",
        _planes(question, sizes),
        f"Shards: those of the table, else one a plate, pooled to {_bytes(SHARD_LEAST_BYTES)} and split above "
        f"{_bytes(SHARD_MOST_BYTES)}, at most {SHARDS_MOST:,} a study.",
        f"Tiles and masks compress {COMPRESSION:g} times (assumed; 1.97 to 2.27 measured). Everything else is counted "
        "from array shapes. A job leaves a log, a benchmark and a record of Snakemake beside its outputs.",
        _gpu(question),
    ]
    for step, rate in rates.items():
        lines.append(
            f"{step}: {rate.start:.2g} s a job + {rate.each:.3g} CPU-s a unit of {rate.unit}, within a factor "
            f"{rate.factor:.3g} ({rate.source}; scaled in proportion)."
        )
    if pattern.transfer:
        lines.append(f"Tests of the encoders of {', '.join(pattern.transfer)} (`transfer`) are not counted.")
    lines.append("compare and report: a few seconds a study, not counted.")
    return lines


def _cut(question: Question, pattern: Study) -> str:
    if pattern.tiles and pattern.tiles.mode == "grid":
        return f"a tile every {pattern.tiles.stride or pattern.tiles.size} px, none rejected"
    if question.per_megapixel is None:
        return "objects as the table says"
    return f"{question.per_megapixel:g} objects a megapixel (given, not measured) where the table does not say"


def _planes(question: Question, sizes: Sequence[StudySize]) -> str:
    stacked = [(size.stacked, size.bytes) for size in sizes]
    text = "One plane of every stack and film is used." if question.one_plane else "Every plane counts as an image"
    if question.one_plane:
        return text
    if any(share is None for share, _ in stacked):
        return f"{text}; the table does not say how many bytes are stacks and films."
    share = sum((share or 0) * size for share, size in stacked) / max(1, sum(size for _, size in stacked))
    return f"{text}; {share:.0%} of the bytes are stacks and films, of which a study may use less (--one-plane)."


def _gpu(question: Question) -> str:
    if not question.gpu_tflops:
        return "No GPU: operations of the models (counted on one batch) at the CPU rates below."
    return (
        f"GPU: not measured. Operations of the models (counted on one batch) at {question.gpu_tflops:g} TFLOP/s "
        f"sustained (--gpu-tflops), within a factor {GPU_FACTOR:g}; a GPU holds the model's `threads` cores meanwhile."
    )


def _range(values: Hours) -> str:
    low, middle, high = values
    return f"{_number(middle)} ({_number(low)} to {_number(high)})" if middle else "-"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _bytes(value: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.3g} PB"
