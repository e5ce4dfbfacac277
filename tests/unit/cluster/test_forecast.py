"""Forecasts: closed forms on small made-up tables, rates fitted to known jobs, and bad input."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.helpers.jobs import count_jobs

from phenoloom.cli.main import main
from phenoloom.cluster.forecast import rates as measured
from phenoloom.cluster.forecast.cost import COMPRESSION, GPU_FACTOR, Assumptions, forecast
from phenoloom.cluster.forecast.rates import DEFAULTS, Job, Rate, fit, measured_rates
from phenoloom.cluster.forecast.sizes import StudySize, read_sizes, recommended_shards
from phenoloom.config import load_model, load_study
from phenoloom.config.load import Lazy
from phenoloom.config.representation import Representation
from phenoloom.config.study import Study
from phenoloom.core.errors import PhenoloomError
from phenoloom.models.cost import model_cost

CONFIG = Path(__file__).parents[3] / "config"
HEADER = "study\tplates\timages\tbytes"
SIZE = StudySize("s", plates=4, images=100, bytes=8_000_000, samples=2_000_000, channels=2, shards=3)


def table(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "studies.tsv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def outline_study(representations: dict[str, dict[str, Any]]) -> Study:
    """Contours of mask files, in four folds."""
    source = {"files": "{image}.tif", "masks": {"files": "{image}.png"}}
    values = {"title": "t", "licence": "l", "source": source, "shapes": {"points": 32}, "folds": {"count": 4}}
    return Study.model_validate({**values, "representations": representations})


def grid_study(**changes: object) -> Study:
    """Grid tiles of 100 px with one set of descriptors of pixels; no network."""
    values = {"title": "t", "licence": "l", "tiles": {"size": 100}, "folds": {"count": 4}}
    source = {"files": "{image}.tif", "channels": ["a", "b"]}
    entries = {"intensity": {"descriptors": "intensity"}}
    return Study.model_validate({**values, "source": source, "representations": entries, **changes})


def rates(each: float = 0.0, factor: float = 2.0) -> dict[str, Rate]:
    return {step: Rate("u", 1.0, each, factor, "test") for step in DEFAULTS}


@pytest.mark.parametrize(
    ("plates", "size", "shards"),
    [(1, 0, 1), (20, 10**9, 1), (20, 10**11, 2), (2, 10**11, 2), (1, 10**12, 5), (384, 19 * 10**12, 380)],
)
def test_shards_are_plates_pooled_to_50_gb_and_split_above_200_gb(plates: int, size: int, shards: int) -> None:
    assert recommended_shards(plates, size) == shards


def test_shards_stay_below_what_a_command_line_holds() -> None:
    assert recommended_shards(12_000, 10**18) == 1000


def test_lines_of_one_study_are_added_up_and_columns_can_be_named(tmp_path: Path) -> None:
    path = table(
        tmp_path, "a\t1\t10\t800\t9 x 9 x 1 x 2 x 1", "a\t2\t5\t400\t9 x 9 x 4 x 1 x 5", header="S\tP\tI\tB\tD"
    )
    columns = {"study": "S", "plates": "P", "images": "I", "bytes": "B", "dimensions": "D"}
    (whole,) = read_sizes(path, columns)
    assert (whole.plates, whole.images, whole.bytes, whole.samples) == (3, 15, 1200, 800 / 4 + 400 / 2)
    assert whole.stacked == pytest.approx(400 / 1200)
    (one,) = read_sizes(path, columns, one_plane=True)
    assert (one.bytes, one.samples) == (800 + 20, 800 / 4 + 20 / 2)


@pytest.mark.parametrize(
    ("lines", "header", "sentence"),
    [
        (["a\t1\t2"], "study\tplates\timages", "no column 'bytes' for `bytes`"),
        (["a\t1\t-2\t3"], HEADER, "line 2: `images` must be a number of 0 or more, found '-2'"),
        (["a\t1\tmany\t3"], HEADER, "found 'many'"),
        (["a\t1\tnan\t3"], HEADER, "found 'nan'"),
        (["\t1\t2\t3"], HEADER, "the study has no name"),
        ([], HEADER, "holds a header but no study"),
        (["a\t1\t2\t3\t9 x 9"], HEADER + "\tdimensions", "must read `X x Y x Z x C x T`"),
        (["a\t1\t2\t3\t0 x 9 x 1 x 1 x 1"], HEADER + "\tdimensions", "sizes of 1 or more"),
    ],
)
def test_a_bad_table_is_refused_with_a_sentence(tmp_path: Path, lines: list[str], header: str, sentence: str) -> None:
    with pytest.raises(PhenoloomError, match=re.escape(sentence)):
        read_sizes(table(tmp_path, *lines, header=header), {})


def test_unknown_words_and_missing_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PhenoloomError, match="but not plaets"):
        read_sizes(table(tmp_path, "a\t1\t2\t3"), {"plaets": "P"})
    with pytest.raises(PhenoloomError, match="There is no table"):
        read_sizes(tmp_path / "none.tsv", {})
    with pytest.raises(PhenoloomError, match="no column `dimensions`"):
        read_sizes(table(tmp_path, "a\t1\t2\t3"), {}, one_plane=True)


def test_jobs_rows_hours_and_disk_of_a_grid_are_the_closed_form() -> None:
    study = grid_study()
    done = forecast([SIZE, SIZE], study, CONFIG, Assumptions(rates(each=0.5), gpu_tflops=0))
    rows = 2_000_000 // 100**2
    assert (done.studies, done.rows, done.shards, done.most_shards) == (2, 2 * rows, 6, 3)
    jobs = {rule: cost.jobs for rule, cost in done.by_rule.items()}
    assert jobs == {
        rule: 2 * count for rule, count in count_jobs("s", study.model_copy(update={"shards": 3}), CONFIG).items()
    }
    low, middle, high = done.by_rule["convert"].core_hours
    assert middle == pytest.approx(2 * (3 * 1.0 + 8 * 0.5) / 3600)
    assert (low, high) == pytest.approx((middle / 2, middle * 2))
    assert done.by_rule["classify"].core_hours[1] == pytest.approx(2 * (1 + rows * 4 * 0.5) / 3600)
    assert done.by_rule["convert"].disk == pytest.approx(2 * rows * (100**2 * 2 * 2 / COMPRESSION + 150))
    assert done.by_rule["embed"].disk == 2 * rows * 4 * (2 * 2)
    assert done.total.jobs == sum(jobs.values())
    assert done.total.gpu_hours == (0, 0, 0)


def test_a_stride_of_half_a_tile_makes_four_times_the_rows() -> None:
    told = Assumptions(rates(), gpu_tflops=0)
    whole = forecast([SIZE], grid_study(), CONFIG, told).rows
    assert forecast([SIZE], grid_study(tiles={"size": 100, "stride": 50}), CONFIG, told).rows == 4 * whole


def test_training_costs_its_operations_and_scales_with_epochs_and_folds() -> None:
    study = load_study("demo", CONFIG)
    size = StudySize("s", 1, 10, 6000, 1000, 3, objects=900)

    def pretrain(epochs: int | None, tflops: float, count: int = 4) -> tuple[float, float]:
        pattern = study.model_copy(update={"folds": study.folds.model_copy(update={"count": count})})
        done = forecast([size], pattern, CONFIG, Assumptions(rates(each=0.001), tflops, epochs=epochs))
        cost = done.by_rule["pretrain"]
        return cost.gpu_hours[1] * 3600, cost.core_hours[1] * 3600

    models = {name: load_model(name, study, CONFIG) for name in ("shape-ae", "vqvae-resnet18")}
    counted = [model_cost(model, 3 if model.view == "tiles" else 64).training for model in models.values()]
    rows = 900 * 3 / 4 * 0.9 * 4
    assert pretrain(2, 5.0)[0] == pytest.approx(8 * 1.0 + rows * 2 * sum(counted) / 5e12)
    assert pretrain(2, 0.0) == pytest.approx((0.0, 8 * 1.0 + rows * 2 * sum(counted) / 1e9 * 0.001))
    assert pretrain(4, 0.0)[1] - 8 == pytest.approx(2 * (pretrain(2, 0.0)[1] - 8))
    assert pretrain(2, 0.0, count=2)[1] == pytest.approx(4 + 900 / 2 * 0.9 * 2 * 2 * sum(counted) / 1e12)


def test_an_assumed_gpu_is_uncertain_by_its_factor() -> None:
    size = StudySize("s", 1, 10, 6000, 1000, 3, objects=900)
    done = forecast([size], load_study("demo", CONFIG), CONFIG, Assumptions(rates(), 20.0))
    low, middle, high = done.by_rule["pretrain"].gpu_hours
    assert (low, high) == pytest.approx((middle / GPU_FACTOR, middle * GPU_FACTOR))


def test_objects_that_nobody_counted_are_not_invented() -> None:
    study = load_study("demo", CONFIG)
    with pytest.raises(PhenoloomError, match="--objects-per-megapixel"):
        forecast([SIZE], study, CONFIG, Assumptions(rates(), 0))
    assert forecast([SIZE], study, CONFIG, Assumptions(rates(), 0, per_megapixel=50)).rows == 100


def test_counted_operations_are_those_of_the_layers() -> None:
    """The encoder's first convolution is linear in the channels, so that operations are affine in them."""
    model = load_model("vqvae-resnet18", load_study("demo", CONFIG), CONFIG)
    one, two, three = (model_cost(model, channels).embedding for channels in (1, 2, 3))
    assert three - two == two - one > 0


def test_a_rate_is_fitted_to_jobs_on_a_line() -> None:
    default = Rate("MB", 9.0, 9.0, 9.0, "default")
    found = fit([Job(w, 2 + 0.25 * w) for w in (10, 40, 100)], default)
    assert (found.start, found.each, found.factor) == pytest.approx((2, 0.25, 1.25))
    assert found.factor_at(1, 900) == pytest.approx(1.25)
    assert found.factor_at(1, 1100) == 3.0


@pytest.mark.parametrize(
    "jobs",
    [
        [],
        [Job(5, 1)],
        [Job(100, 3), Job(101, 4)],
        [Job(1, 3.0), Job(100, 3.1)],
        [Job(1, 5), Job(100, 2)],
        [Job(1, 1), Job(99, 1), Job(100, 200)],
    ],
    ids=["none", "one", "alike", "start dominates", "falls", "scattered"],
)
def test_jobs_that_cannot_tell_a_rate_leave_the_documented_one(jobs: list[Job]) -> None:
    default = Rate("MB", 9.0, 9.0, 9.0, "default")
    assert fit(jobs, default) is default


@pytest.mark.parametrize(
    ("trained_on", "folder"),
    [([], "m/fold-1"), (["mine", "other"], "m.on-mine_other/fold-1"), (["other"], "m.on-other/all")],
)
def test_vectors_are_measured_by_the_encoder_that_made_them(
    trained_on: list[str], folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, asked = tmp_path / "mine", list[Path]()
    vectors = study / "embeddings" / "v" / "fold-1.parquet"
    vectors.parent.mkdir(parents=True)
    pq.write_table(pa.table({"x": [1.0] * 7}), vectors)
    (study / "models" / folder).mkdir(parents=True)
    (study / "models" / folder / "model.yaml").touch()
    model = load_model("vqvae-resnet18", load_study("demo", CONFIG), CONFIG)

    def read(path: Path) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(model=model, size=3)

    monkeypatch.setattr(measured, "read_card", read)
    entry = Representation.model_validate({"model": "m", "trained_on": trained_on})
    assert measured._embedded(study, "v", "fold-1", entry) == pytest.approx(7 * model_cost(model, 3).embedding / 1e9)
    assert asked == [study / "models" / folder]


def test_an_encoder_of_other_studies_is_a_training_of_its_own() -> None:
    def hours(**more: Any) -> float:
        study = outline_study({"ae": {"model": "shape-ae"}, "second": {"model": "shape-ae", **more}})
        size = StudySize(
            "s", plates=4, images=100, bytes=8_000_000, samples=2_000_000, channels=1, objects=5000, shards=3
        )
        told = Assumptions(rates=rates(each=1.0), gpu_tflops=0.0)
        return forecast([size], study, CONFIG, told).by_rule["pretrain"].core_hours[1]

    assert hours(trained_on=["s", "other"]) == pytest.approx(2 * hours(untrained=True))


def test_without_results_every_rate_is_the_documented_one(tmp_path: Path) -> None:
    assert measured_rates(tmp_path, CONFIG, DEFAULTS) == (dict(DEFAULTS), [])


def test_the_command_prints_the_table_and_the_same_numbers_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(CONFIG, tmp_path / "config")
    path = table(tmp_path, "a\t2\t10\t60000000000\t500", "b\t1\t5\t1000\t10", header=HEADER + "\tobjects")
    asked = ["forecast", str(path), "--config", str(tmp_path / "config"), "--results", str(tmp_path), "--folds", "3"]
    assert main(asked) == 0
    text = capsys.readouterr().out
    assert main([*asked, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["shards"] == 3
    assert values["by_rule"]["pretrain"]["jobs"] == 2 * 2 * 3
    assert f"{values['total']['jobs']:,}" in next(line for line in text.splitlines() if line.startswith("total"))
    assert any("GPU: not measured" in line for line in values["assumptions"])
    assert all(f"- {line}" in text for line in values["assumptions"])
    assert "transfer" not in text
    # Its encoders are tested at the other site, too; that is told, not counted.
    site = [*asked, "--like", "wbc-site1", "--objects-per-megapixel", "9"]
    assert main(site) == 0
    assert "Tests of the encoders of wbc-site2 (`transfer`) are not counted." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (["--epochs", "0"], "--epochs must be above 0"),
        (["--gpu-tflops", "-1"], "--gpu-tflops must be 0"),
        (["--columns", "plates"], "--columns takes pairs"),
    ],
)
def test_bad_options_are_refused_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str], sentence: str
) -> None:
    assert main(["forecast", str(table(tmp_path, "a\t1\t2\t3")), "--config", str(CONFIG), *option]) == 1
    assert sentence in capsys.readouterr().err


def test_a_lazy_mapping_makes_each_value_once_and_only_when_asked() -> None:
    made: list[str] = []
    lazy = Lazy(["b", "a"], lambda name: made.append(name) or name.upper())  # type: ignore[func-returns-value]
    assert (list(lazy), len(lazy), "a" in lazy, made) == (["b", "a"], 2, True, [])
    assert (lazy["a"], lazy["a"], made) == ("A", "A", ["a"])
    with pytest.raises(KeyError):
        lazy["c"]


def test_a_search_costs_its_trials_beside_the_training(tmp_path: Path) -> None:
    shutil.copytree(CONFIG / "models", tmp_path / "models")
    plain = outline_study({"ae": {"model": "shape-ae"}, "raw": {"model": "shape-ae", "untrained": True}})
    search = {"ranges": {"latent": {"low": 8, "high": 64}}, "trials": 12, "workers": 3}
    searching = plain.model_copy(update={"models": {"shape-ae": {"tune": search}}})
    size = StudySize("s", plates=4, images=100, bytes=8_000_000, samples=2_000_000, channels=1, objects=5000, shards=3)
    told = Assumptions(rates=rates(each=1.0), gpu_tflops=0.0)
    before = forecast([size], plain, tmp_path, told).by_rule
    after = forecast([size], searching, tmp_path, told).by_rule
    assert not {"tune", "choose"} & before.keys()
    assert (after["tune"].jobs, after["choose"].jobs) == (4 * 3, 4)
    assert after["pretrain"] == before["pretrain"]
    # A second for a job, and one for each GFLOP.
    training, tuning = (rule.core_hours[1] * 3600 for rule in (after["pretrain"], after["tune"]))
    assert tuning - 12 == pytest.approx(12 * (training - 4), rel=1e-9)
