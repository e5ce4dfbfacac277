from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tests.helpers.report_results import MadeUp, ReportedStudy, read_results

from phenoloom.artifacts.parquet import table_metadata
from phenoloom.report.sections.provenance import digests, versions
from phenoloom.report.steps import STEPS


def steps(table_rows: list[list[str]]) -> Iterator[str]:
    yield from dict.fromkeys(row[0] for row in table_rows)


def test_every_stored_result_has_its_settings_in_the_order_of_the_pipeline(study: ReportedStudy) -> None:
    table = digests(study.results, study.made_up.settings)
    rows = [[cell.text for cell in row] for row in table.rows]
    order = list(steps(rows))
    assert order[-1] == "report"
    assert [STEPS.index(step) for step in order[:-1]] == sorted(STEPS.index(step) for step in order[:-1])
    trained = [row for row in rows if row[0] == "pretrain"]
    assert [row[1] for row in trained] == [
        f"{model}, fold-{k}" for model in ("shape-ae", "vqvae-resnet18") for k in range(5)
    ]
    assert {row[3] for row in trained} == {"a" * 12}
    assert table.rows[-1][3].title == study.made_up.settings.digest()


def test_equal_results_are_one_row_with_their_number(tmp_path: Path) -> None:
    folder = tmp_path / "study" / "descriptors"
    folder.mkdir(parents=True)
    for shard, digest in (("0000", "a"), ("0001", "a"), ("0002", "b")):
        facts = table_metadata({"settings_sha256": digest * 64, "phenoloom": "0.1.0"})
        pq.write_table(pa.table({"id": ["x"]}).replace_schema_metadata(facts), folder / f"{shard}.parquet")
    table = digests(read_results(tmp_path / "study", tmp_path), MadeUp().settings)
    found = [[cell.text for cell in row][:4] for row in table.rows if row[0].text == "describe"]
    assert found == [["describe", "", "2", "a" * 12], ["describe", "", "1", "b" * 12]]


def test_the_versions_are_those_of_the_libraries_in_use() -> None:
    found = {row[0].text: row[1].text for row in versions().rows}
    assert found["pyarrow"] == pa.__version__
    assert {"phenoloom", "commit", "Python", "torch"} <= set(found)
