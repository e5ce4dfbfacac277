from __future__ import annotations

import numpy as np
import pytest
import torch

from phenoloom.nets.cyclic_form import (
    about_centroid,
    angle_form,
    cyclic_form,
    full_form,
    oriented_with,
    pairs_of,
    reverse,
    signed_area,
)
from phenoloom.shapes.polygons import centred

SIZES = pytest.mark.parametrize("points", [16, 15])


def contours(count: int = 5, points: int = 16, seed: int = 0) -> torch.Tensor:
    drawn = torch.randn(count, points, 2, generator=torch.Generator().manual_seed(seed))
    return drawn - drawn.mean(1, keepdim=True)


def circle(points: int, radius: float = 1.0) -> torch.Tensor:
    angle = torch.arange(points) * 2 * torch.pi / points
    return radius * torch.stack([angle.cos(), angle.sin()], -1)[None]


def matrices(contour: torch.Tensor) -> torch.Tensor:
    return torch.cdist(contour, contour, compute_mode="donot_use_mm_for_euclid_dist")


@SIZES
def test_the_cyclic_form_is_the_distance_matrix_by_lag(points: int) -> None:
    contour = contours(points=points).double()
    matrix, form = matrices(contour), cyclic_form(contour)
    for lag in range(1, points // 2 + 1):
        for i in range(points):
            assert torch.allclose(form[:, lag - 1, i], matrix[:, i, (i + lag) % points], atol=1e-9)


@SIZES
def test_the_full_form_of_a_matrix_holds_every_entry_by_lag(points: int) -> None:
    matrix = torch.randn(2, points, points)
    form = full_form(matrix)
    for lag in range(points):
        for i in range(points):
            assert torch.equal(form[:, lag, i], matrix[:, i, (i + lag) % points])


@SIZES
def test_reversing_the_form_is_the_form_of_the_reversed_contour(points: int) -> None:
    contour = contours(points=points)
    backwards = contour[:, (-torch.arange(points)) % points]
    assert torch.allclose(reverse(cyclic_form(contour)), cyclic_form(backwards), atol=1e-6)
    assert torch.allclose(reverse(full_form(matrices(contour))), full_form(matrices(backwards)), atol=1e-6)


def test_on_a_circle_the_form_is_constant_along_the_contour() -> None:
    form = cyclic_form(circle(32, 3))
    expected = 6 * (torch.pi * torch.arange(1, 17) / 32).sin()
    assert torch.allclose(form[0], expected[:, None].expand(16, 32), atol=1e-5)


def test_coinciding_points_have_a_finite_gradient() -> None:
    points = torch.zeros(1, 8, 2, requires_grad=True)
    (cyclic_form(points).sum() + angle_form(points).sum()).backward()
    assert torch.isfinite(points.grad).all()


@pytest.mark.parametrize("points", [32, 31])
def test_the_angles_on_a_circle_are_those_of_its_chords(points: int) -> None:
    lags = (points - 1) // 2
    # The angle at the rim over an arc of 2 pi - 4 pi k / n is half of it.
    angle = torch.pi - 2 * torch.pi * torch.arange(1, lags + 1) / points
    form = angle_form(circle(points))
    assert form.shape == (1, 2 * lags, points)
    assert torch.allclose(form[0], torch.cat([angle.cos(), angle.sin()])[:, None].expand(-1, points), atol=1e-4)


def test_a_hollow_has_a_negative_sine_whichever_way_the_contour_runs() -> None:
    outline = torch.tensor([[0.0, 0], [1, 0.4], [2, 0], [2, 2], [1, 2.5], [0, 2]])[None]
    form = angle_form(outline)[0]
    assert (form[2] < 0).tolist() == [False, True, False, False, False, False]
    backwards = angle_form(outline.flip(1))[0]
    mirrored = angle_form(outline * torch.tensor([-1.0, 1.0]))[0]
    assert torch.allclose(backwards, form.flip(1), atol=1e-6)
    assert torch.allclose(mirrored, form, atol=1e-6)


@pytest.mark.parametrize("far", [0.0, 1000.0])
def test_the_frame_of_a_contour_is_that_of_the_store(far: float) -> None:
    given = torch.cat([contours(20) + circle(16, 5.0), -(contours(20) + circle(16, 2.0)).flip(1)]) + far
    stored, _, scale = centred(given.double().numpy())
    expected = stored / scale[:, None, None]
    np.testing.assert_allclose(about_centroid(given).numpy(), expected, atol=1e-6 if far == 0 else 1e-3)


def test_a_contour_that_encloses_nothing_is_framed_by_its_points_as_in_the_store() -> None:
    line = torch.tensor([[[0.0, 0.0], [1.0, 1.0], [3.0, 3.0], [1.0, 1.0]]])
    stored, _, scale = centred(line.double().numpy())
    np.testing.assert_allclose(about_centroid(line).numpy(), stored / scale[:, None, None], atol=1e-6)
    assert about_centroid(torch.zeros(1, 4, 2)).abs().max() == 0


def test_orienting_turns_contours_of_negative_area_round_with_their_flags() -> None:
    points, flags = circle(9), torch.arange(9)[None] < 2
    both, marked = torch.cat([points, points.flip(1)]), torch.cat([flags, flags.flip(1)])
    turned, carried = oriented_with(both, marked)
    assert (signed_area(both) > 0).tolist() == [True, False]
    assert carried is not None
    assert torch.equal(turned[0], turned[1])
    assert torch.equal(carried[0], carried[1])


@SIZES
def test_flagged_points_flag_every_entry_that_they_belong_to(points: int) -> None:
    flags = torch.rand(3, points) < 0.3
    pair = flags[:, :, None] | flags[:, None]
    for lags, first in ((points // 2, 1), (points, 0)):
        found = pairs_of(flags, lags)
        for lag in range(lags):
            expected = torch.stack([pair[:, i, (i + lag + first) % points] for i in range(points)], 1)
            assert torch.equal(found[:, lag], expected)
