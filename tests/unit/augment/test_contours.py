from __future__ import annotations

from typing import Any

import pytest
import torch

from phenoloom.augment.contours import augment_contours, resampled, to_unit_scale
from phenoloom.config.model import ShapeModel
from phenoloom.config.shape_objectives import ShapeAugment
from phenoloom.data.domain import domain_of
from phenoloom.nets.cyclic_form import about_centroid

EACH = {
    "stretch": {"stretch": 0.3},
    "elastic": {"elastic": 0.1},
    "ripple": {"ripple": 0.05},
    "cut": {"cut": 0.4, "cut_probability": 1.0},
    "noise": {"noise": 0.05},
}


def circle(count: int = 6, points: int = 64) -> torch.Tensor:
    angle = torch.arange(points) * 2 * torch.pi / points
    return torch.stack([angle.cos(), angle.sin()], -1).expand(count, -1, -1)


def augmented(contours: torch.Tensor, seed: int = 0, **settings: Any) -> torch.Tensor:
    return augment_contours(contours, ShapeAugment(**settings), torch.Generator().manual_seed(seed))


def lengths(contours: torch.Tensor) -> torch.Tensor:
    return (contours.roll(-1, 1) - contours).norm(dim=-1)


def test_without_any_augmentation_contours_stay_as_they_are() -> None:
    contours = circle() + 3
    assert augmented(contours) is contours


@pytest.mark.parametrize("name", EACH)
def test_each_augmentation_changes_each_contour_by_itself_and_gives_back_centred_contours_of_scale_one(
    name: str,
) -> None:
    contours = circle(16)
    found = augmented(contours, **EACH[name])
    assert torch.allclose(found.mean(1), torch.zeros(16, 2), atol=1e-5)
    assert torch.allclose(found.square().sum(-1).mean(1), torch.ones(16), atol=1e-4)
    radius = found.norm(dim=-1)
    assert (radius.std(1) > 1e-4).float().mean() > 0.8
    assert len(radius.mean(1).unique()) > 8
    assert torch.equal(found, augmented(contours, **EACH[name]))
    assert not torch.equal(found, augmented(contours, seed=1, **EACH[name]))


@pytest.mark.parametrize("name", [name for name in EACH if name != "noise"])
def test_points_are_equally_spaced_again(name: str) -> None:
    found = lengths(augmented(circle(16, 256), **EACH[name]))
    assert (found.std(1) / found.mean(1)).max() < 0.1


def test_a_model_is_trained_in_the_frame_in_which_it_embeds() -> None:
    """A contour with a thin tail, which holds points and little of the area."""
    angle = torch.arange(64) * 2 * torch.pi / 64
    drop = torch.stack(
        [angle.cos() * (1 + 2 * torch.exp(-(angle.sin() ** 2) * 40) * (angle.cos() > 0)), angle.sin()], -1
    )
    stored = about_centroid(drop[None].repeat(8, 1, 1))
    model = ShapeModel(view="shapes", objective={"name": "ae"}, augment={"noise": 1e-6})
    seen = domain_of(model).augment(stored, torch.Generator().manual_seed(0))
    assert not torch.equal(seen, stored)
    assert torch.allclose(seen, stored, atol=1e-4)
    assert (to_unit_scale(stored) - stored).abs().max() > 0.02


def test_a_stretch_makes_an_ellipse_whose_axes_have_the_drawn_ratio() -> None:
    found = augmented(circle(400, 128), stretch=0.2)
    values = torch.linalg.eigvalsh(found.transpose(1, 2) @ found)
    # Of points at equal arc length, not at equal angles: near the axes' squared ratio.
    logs = (values[:, 1] / values[:, 0]).log() / 2
    assert logs.mean() == pytest.approx(0.2 * (2 / torch.pi) ** 0.5, rel=0.25)


def test_a_cut_shortens_a_circle_and_leaves_the_rest_of_it_round() -> None:
    found = augmented(circle(50, 256), cut=0.5, cut_probability=1.0)
    area = (found[..., 0] * found.roll(-1, 1)[..., 1] - found.roll(-1, 1)[..., 0] * found[..., 1]).sum(1) / 2
    roundness = 4 * torch.pi * area / lengths(found).sum(1) ** 2
    assert roundness.max() <= 1.0001
    assert roundness.min() < 0.97


def test_no_contour_is_cut_at_probability_zero() -> None:
    found = augmented(circle(50), cut=0.5, cut_probability=0.0)
    assert torch.allclose(found.norm(dim=-1), torch.ones(50, 64), atol=5e-3)


def test_resampling_starts_at_the_phase_and_keeps_to_the_polygon() -> None:
    square = torch.tensor([[[0.0, 0], [4, 0], [4, 4], [0, 4]]])
    found = resampled(square, 8, torch.tensor([1 / 16]))
    expected = [[1, 0], [3, 0], [4, 1], [4, 3], [3, 4], [1, 4], [0, 3], [0, 1]]
    assert torch.allclose(found[0], torch.tensor(expected, dtype=torch.float32), atol=1e-5)


def test_repeated_points_and_a_single_point_stay_finite() -> None:
    for contours in (torch.zeros(2, 8, 2), circle(2, 8).repeat_interleave(4, 1)):
        settings = {**EACH["stretch"], **EACH["elastic"], **EACH["cut"], **EACH["ripple"]}
        assert augmented(contours, **settings).isfinite().all()
    assert to_unit_scale(torch.zeros(1, 4, 2)).abs().max() == 0
