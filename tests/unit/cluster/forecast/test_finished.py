from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.helpers.forecasts import CONFIG

from phenoloom.artifacts.layout import StudyFolder
from phenoloom.cluster.forecast import finished
from phenoloom.cluster.forecast.finished import FinishedJob, finished_jobs
from phenoloom.config import load_model, load_study
from phenoloom.config.representation import Representation
from phenoloom.core.errors import PhenoloomError
from phenoloom.models.cost import model_cost


@pytest.mark.parametrize(
    ("trained_on", "folder"),
    [([], "m/fold-1"), (["mine", "other"], "m.on-mine_other/fold-1"), (["other"], "m.on-other/all")],
)
def test_vectors_are_measured_by_the_encoder_that_made_them(
    trained_on: list[str], folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, asked = StudyFolder(tmp_path / "mine"), list[Path]()
    encoder = study.path / "models" / folder
    encoder.mkdir(parents=True)
    (encoder / "model.yaml").touch()
    model = load_model("vqvae-resnet18", load_study("demo", CONFIG), CONFIG)

    def read(path: Path) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(model=model, size=3)

    monkeypatch.setattr(finished, "read_card", read)
    entry = Representation.model_validate({"model": "m", "trained_on": trained_on})
    work = finished.embedding_gflop(7, study, entry, "fold-1")
    assert work == pytest.approx(7 * model_cost(model, 3).embedding / 1e9)
    assert asked == [encoder]


def put_benchmark(study: StudyFolder, rule: str, *values: str, seconds: float = 3.0) -> None:
    path = study.benchmark(rule, values)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\tcpu_time\n9\t{seconds}\n9\t{seconds + 2}\n")


def test_jobs_are_measured_where_their_results_show_the_work(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path / "results" / "mine")
    for rule, values in (("index", ()), ("describe", ("0000",)), ("collect", ()), ("embed", ("gone", "all"))):
        put_benchmark(study, rule, *values)
    study.path.mkdir()
    pq.write_table(pa.table({"id": range(11)}), study.index)
    assert list(finished_jobs(study, CONFIG)) == [("index", FinishedJob(work=11.0, cpu_s=4.0))]


def test_a_benchmark_that_is_none_is_named(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path / "results" / "mine")
    put_benchmark(study, "index")
    study.path.mkdir()
    pq.write_table(pa.table({"id": range(11)}), study.index)
    study.benchmark("index").write_text("s\n9\n")
    with pytest.raises(PhenoloomError, match=r"index/all\.tsv is not a benchmark of Snakemake"):
        list(finished_jobs(study, CONFIG))
