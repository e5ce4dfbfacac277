from __future__ import annotations

from phenoloom.report.results import TrainedModel
from phenoloom.report.sections.training_sets import SUPERVISION, precision_caveats, supervision_caveats
from phenoloom.training.pairs import KINDS


def trained(model: str, split: str = "fold-0", **card: object) -> TrainedModel:
    return TrainedModel(model, split, dict(card), None, None)


def test_the_report_names_the_models_that_used_more_than_pixels_and_what_they_used() -> None:
    models = [
        trained("vae", supervision="replicates"),
        trained("vae", "fold-1", supervision="replicates"),
        trained("ae", supervision="replicates"),
        trained("mae", supervision="labels"),
        trained("dino", supervision="none"),
        trained("old"),
    ]
    replicates, labels = supervision_caveats(models)
    assert "training of ae and vae pulled together tiles of one group in different wells" in replicates
    assert "training of mae pulled together tiles of one label" in labels
    assert not supervision_caveats([trained("dino", supervision="none"), trained("old")])


def test_folds_that_were_trained_in_different_precision_are_named() -> None:
    models = [trained("ae", f"fold-{i}", precision="bf16" if i < 2 else "float32") for i in range(3)]
    (found,) = precision_caveats([*models, trained("vae", precision="bf16"), trained("old")])
    assert "ae was trained in bf16 for fold-0 and fold-1 and in float32 for fold-2" in found
    assert not precision_caveats([*models[:2], trained("vae", precision="float32"), trained("old")])


def test_every_supervision_that_a_model_can_have_is_explained() -> None:
    assert set(SUPERVISION) == set(KINDS)
