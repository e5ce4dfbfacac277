from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.helpers.forecasts import CONFIG, HEADER, table

from phenoloom.cli.main import main


def test_the_command_prints_the_table_and_the_same_numbers_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(CONFIG, tmp_path / "config")
    path = table(tmp_path, "a\t2\t10\t60000000000\t500", "b\t1\t5\t1000\t10", header=HEADER + "\tobjects")
    asked = ["forecast", str(path), "--folds", "3"]
    asked += ["--config-dir", str(tmp_path / "config"), "--config", f"results={tmp_path}"]
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
    # Its encoders are tested at the other site, too; the output says so, but does not count that.
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
    assert main(["forecast", str(table(tmp_path, "a\t1\t2\t3")), "--config-dir", str(CONFIG), *option]) == 1
    assert sentence in capsys.readouterr().err
