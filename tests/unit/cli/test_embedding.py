"""What the commands of embedding make of their settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from phenoloom.artifacts.provenance import Provenance
from phenoloom.cli.main import main
from phenoloom.config.rule_settings import EmbedSettings
from phenoloom.embedding import embed
from phenoloom.embedding.representation import Concatenation, Descriptors, Encoder, Guest, Representation

MODEL = {"model_name": "net", "split": "fold-1"}


def settings(**changes: Any) -> EmbedSettings:
    values = {"descriptors": None, "model_name": None, "view": "tiles", "untrained": False}
    return EmbedSettings(**{"algorithm": 1, "study": "s", "representation": "rep", "split": "all", **values, **changes})


def embedded(monkeypatch: pytest.MonkeyPatch, chosen: EmbedSettings, *arguments: str) -> list[Any]:
    """What the step is called with."""
    calls: list[Any] = []
    monkeypatch.setattr(embed, "embed", lambda *values: calls.append(values))
    command = ["embed", "--settings", chosen.canonical(), "--index", "i", "--folds", "f", "--output", "o", *arguments]
    assert main(command) == 0
    return list(calls[0])


@pytest.mark.parametrize(
    ("changes", "arguments", "origin"),
    [
        (MODEL, ["--model", "m/model.yaml"], Encoder(Path("m"), "fold-1")),
        (MODEL | {"untrained": True}, ["--model", "m/model.yaml"], Encoder(Path("m"), "fold-1", untrained=True)),
        (MODEL | {"source": "t"}, ["--model", "m/model.yaml"], Encoder(Path("m"), "fold-1", guest=Guest("s", "t"))),
        ({"descriptors": "efd"}, ["--descriptors", "a", "b"], Descriptors("efd", [Path("a"), Path("b")])),
        (
            {"concatenate": ["x", "y"], "split": "fold-1", "source": "t"},
            ["--parts", "y/all.parquet", "x/fold-1.parquet"],
            Concatenation(["x", "y"], [Path("y/all.parquet"), Path("x/fold-1.parquet")], "fold-1", new=True),
        ),
    ],
)
def test_settings_become_a_representation(
    changes: dict[str, Any], arguments: list[str], origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(**changes)
    representation, study, output, made_by, threads = embedded(monkeypatch, chosen, *arguments)
    assert representation == Representation("rep", origin)
    assert (study.name, study.index, study.folds, study.stores) == ("s", Path("i"), Path("f"), ())
    assert (output, made_by, threads) == (Path("o"), Provenance.of(chosen), 1)


def test_a_folder_of_a_model_does_as_well_as_its_card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    representation, *_ = embedded(monkeypatch, settings(**MODEL), "--model", str(tmp_path))
    assert representation.origin == Encoder(tmp_path, "fold-1")


def test_a_model_that_was_not_given_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["embed", "--settings", settings(**MODEL).canonical(), "--index", "i", "--folds", "f", "--output", "o"]
    assert main(command) == 1
    assert "needs a trained model: give `--model`" in capsys.readouterr().err
