"""The command line: a sentence instead of a traceback, and light starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from phenoloom.check import command
from phenoloom.cli.main import main
from phenoloom.config.rule_settings import DistancesSettings, IndexSettings


def test_every_rule_of_the_workflow_has_a_command_of_its_name(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = capsys.readouterr().out
    for rules in (repository / "workflow" / "rules").glob("*.smk"):
        for line in rules.read_text().splitlines():
            if line.startswith("rule "):
                assert line.removeprefix("rule ").rstrip(":") in commands.split()


def test_bad_input_ends_in_a_sentence_without_a_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = DistancesSettings(study="mine", algorithm=1).canonical()
    arguments = ["distances", "--settings", settings, "--shapes", str(tmp_path / "0.json"), "--output", "out.json"]
    assert main(arguments) == 1
    err = capsys.readouterr().err
    assert "There is no manifest" in err
    assert "Traceback" not in err


def test_the_log_begins_with_the_command_that_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = IndexSettings(study="it's", algorithm=1).canonical()
    arguments = ["index", "--settings", settings, "--sheet", "s", "--index", "i", "--quarantine", "q", "--output", "o"]
    main(arguments)
    line = capsys.readouterr().err.splitlines()[0]
    pasted = subprocess.run(["bash", "-c", f'printf "%s\\n" {line}'], capture_output=True, text=True, check=True)
    assert pasted.stdout.splitlines() == ["phenoloom", *arguments]


def test_too_little_memory_ends_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def allocate(*_: object) -> None:
        raise MemoryError("Unable to allocate 29.8 GiB")

    monkeypatch.setattr(command, "check", allocate)
    assert main(["check"]) == 1
    printed = capsys.readouterr().err
    assert "needs more memory than there is (Unable to allocate 29.8 GiB)" in printed
    assert "Traceback" not in printed


def test_an_unwritable_folder_ends_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    settings = '{"algorithm":1,"studies":{}}'
    assert main(["overview", "--settings", settings, "--results", str(tmp_path), "--output", str(blocked / "x")]) == 1
    assert "cannot read or write" in capsys.readouterr().err


def test_the_command_line_starts_without_the_configuration() -> None:
    code = "import sys, phenoloom.cli.main; sys.exit(bool({'pydantic', 'numpy', 'torch'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "module",
    [
        "tiles.convert",
        "study.index",
        "shapes.contours",
        "shapes.describe",
        "splits.folds",
        "evaluation.classify",
        "evaluation.compare",
        "study.sheet",
        "evaluation.transfer",
    ],
)
def test_steps_without_networks_do_not_import_torch(module: str) -> None:
    code = f"import sys, phenoloom.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
