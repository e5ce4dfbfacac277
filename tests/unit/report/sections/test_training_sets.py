from __future__ import annotations

from phenoloom.report.results import Run
from phenoloom.report.sections.training_sets import TOLD, precision_warnings, supervision_warnings
from phenoloom.training.pairs import KINDS


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


def test_folds_that_were_trained_in_different_precision_are_told() -> None:
    runs = [run("ae", f"fold-{i}", precision="bf16" if i < 2 else "float32") for i in range(3)]
    (found,) = precision_warnings([*runs, run("vae", precision="bf16"), run("old")])
    assert "ae was trained in bf16 for fold-0 and fold-1 and in float32 for fold-2" in found
    assert not precision_warnings([*runs[:2], run("vae", precision="float32"), run("old")])


def test_every_supervision_that_a_model_can_have_is_told() -> None:
    assert set(TOLD) == set(KINDS)
