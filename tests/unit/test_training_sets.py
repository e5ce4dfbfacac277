from __future__ import annotations

from phenoloom.pairs import KINDS
from phenoloom.report.read import Run
from phenoloom.report.training_sets import TOLD, supervision_warnings


def run(model: str, split: str = "fold-0", **card: object) -> Run:
    return Run(model, split, dict(card), None, None)


def test_the_report_says_which_models_were_told_more_than_pixels_and_what() -> None:
    runs = [
        run("vae", supervision="replicates"),
        run("vae", "fold-1", supervision="replicates"),
        run("ae", supervision="replicates"),
        run("mae", supervision="labels"),
        run("dino", supervision="none"),
        run("old"),
    ]
    replicates, labels = supervision_warnings(runs)
    assert "training of ae and vae pulled together tiles of one group in different wells" in replicates
    assert "training of mae pulled together tiles of one label" in labels
    assert not supervision_warnings([run("dino", supervision="none"), run("old")])


def test_every_supervision_that_a_model_can_have_is_told() -> None:
    assert set(TOLD) == set(KINDS)
