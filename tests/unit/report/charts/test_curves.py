from __future__ import annotations

from tests.helpers.report_results import (
    ReportedStudy,
)

from phenoloom.report.charts.curves import curve_figures


def test_curves_show_the_monitors_that_a_model_has_and_say_what_they_measure(
    study: ReportedStudy,
) -> None:
    figures = dict(curve_figures(study.results.models))
    shown = [title for title, _ in figures["vqvae-resnet18"].panels]
    names = ("loss", "perplexity", "effective rank", "knn accuracy", "items per second", "waited for data")
    assert shown == [f"vqvae-resnet18: {name}" for name in names]
    assert "(Roy and Vetterli 2007)" in figures["vqvae-resnet18"].caption
    assert "kNN accuracy: balanced accuracy of validation groups" in figures["vqvae-resnet18"].caption
    assert "Embedding spread" not in figures["vqvae-resnet18"].caption
    assert [title for title, _ in figures["shape-ae"].panels] == ["shape-ae: loss"]
    assert "effective rank" not in figures["shape-ae"].caption.lower()
