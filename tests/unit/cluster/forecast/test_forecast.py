from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.forecasts import CONFIG, SIZE, grid_study, outline_study, rates
from tests.helpers.jobs import count_jobs

from phenoloom.cluster.forecast.cost import GPU_FACTOR, Assumptions
from phenoloom.cluster.forecast.forecast import forecast
from phenoloom.cluster.forecast.sizes import StudySize
from phenoloom.cluster.forecast.study_cost import COMPRESSION
from phenoloom.config import load_model, load_study
from phenoloom.core.errors import PhenoloomError
from phenoloom.models.cost import model_cost


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
    assumptions = Assumptions(rates(), gpu_tflops=0)
    whole = forecast([SIZE], grid_study(), CONFIG, assumptions).rows
    assert forecast([SIZE], grid_study(tiles={"size": 100, "stride": 50}), CONFIG, assumptions).rows == 4 * whole


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


def test_an_encoder_of_other_studies_is_a_training_of_its_own() -> None:
    def hours(**more: Any) -> float:
        study = outline_study({"ae": {"model": "shape-ae"}, "second": {"model": "shape-ae", **more}})
        size = StudySize(
            "s", plates=4, images=100, bytes=8_000_000, samples=2_000_000, channels=1, objects=5000, shards=3
        )
        assumptions = Assumptions(rates=rates(each=1.0), gpu_tflops=0.0)
        return forecast([size], study, CONFIG, assumptions).by_rule["pretrain"].core_hours[1]

    assert hours(trained_on=["s", "other"]) == pytest.approx(2 * hours(untrained=True))


def test_a_search_costs_its_trials_beside_the_training(tmp_path: Path) -> None:
    shutil.copytree(CONFIG / "models", tmp_path / "models")
    plain = outline_study({"ae": {"model": "shape-ae"}, "raw": {"model": "shape-ae", "untrained": True}})
    search = {"ranges": {"latent": {"low": 8, "high": 64}}, "trials": 12, "workers": 3}
    searching = plain.model_copy(update={"models": {"shape-ae": {"tune": search}}})
    size = StudySize("s", plates=4, images=100, bytes=8_000_000, samples=2_000_000, channels=1, objects=5000, shards=3)
    assumptions = Assumptions(rates=rates(each=1.0), gpu_tflops=0.0)
    before = forecast([size], plain, tmp_path, assumptions).by_rule
    after = forecast([size], searching, tmp_path, assumptions).by_rule
    assert not {"tune", "choose"} & before.keys()
    assert (after["tune"].jobs, after["choose"].jobs) == (4 * 3, 4)
    assert after["pretrain"] == before["pretrain"]
    # A second for a job, and one for each GFLOP.
    training, tuning = (rule.core_hours[1] * 3600 for rule in (after["pretrain"], after["tune"]))
    assert tuning - 12 == pytest.approx(12 * (training - 4), rel=1e-9)
