from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tests.helpers.objectives import blobs
from torch.nn import functional as F

from phenoloom.augment.tiles import random_symmetry, symmetries
from phenoloom.config.model import ImageModel
from phenoloom.core.errors import PhenoloomError
from phenoloom.nets.heads import DINOHead
from phenoloom.objectives import Step, build_objective
from phenoloom.objectives.dino import SelfDistillation
from phenoloom.objectives.dino_loss import Centre, koleo, patch_cross_entropy, random_patches

SMALL = {"prototypes": 32, "hidden": 32, "bottleneck": 16, "local_crops": 2, "local_size": 16}
VIT = {"encoder": "vit-tiny", "width": 32, "depth": 2, "patch": 8}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dino(channels: int = 2, objective: dict[str, Any] | None = None, **changes: Any) -> SelfDistillation:
    torch.manual_seed(0)
    settings = {"name": "dino", **SMALL, **(objective or {})}
    model = ImageModel(**{"view": "tiles", "input_size": 32, "latent": 32, **VIT, **changes}, objective=settings)
    built = build_objective(model, channels)
    assert isinstance(built, SelfDistillation)
    return built


def step(number: int = 0, per_epoch: int = 2, epochs: int = 10) -> Step:
    return Step(number, per_epoch, epochs)


def apart(model: SelfDistillation) -> SelfDistillation:
    """Teacher and student differ, as after some training, and so does the centre from zero."""
    with torch.no_grad():
        for parameter in model.student.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        model.centre.value.copy_(0.05 * torch.randn(32))
    return model


def reference_loss(student: list[torch.Tensor], teacher: list[torch.Tensor], centre: torch.Tensor, t: float) -> float:
    """The double loop over crops of the published loss."""
    total, terms = torch.zeros((), dtype=torch.float64), 0
    for i, q in enumerate(teacher):
        q = F.softmax((q.double() - centre.double()) / t, -1)
        for j, v in enumerate(student):
            if i != j:
                total += (-q * F.log_softmax(v.double() / 0.1, -1)).sum(-1).mean()
                terms += 1
    return float(total / terms)


def test_the_loss_is_that_of_the_published_double_loop_and_centring_comes_after_it() -> None:
    model = apart(dino())
    model.before_step(step(0))
    wide, close = torch.randn(8, 2, 32, 32), torch.randn(8, 2, 16, 16)
    centre = model.centre.value.clone()
    with torch.no_grad():
        student = [model.student.head(model.student.vectors(part)) for part in (*wide.chunk(2), *close.chunk(2))]
        teacher = [model.teacher.head(model.teacher.vectors(part)) for part in wide.chunk(2)]
        found = model.distil(wide, close, generator()).loss
    assert float(found) == pytest.approx(reference_loss(student, teacher, centre, 0.04), rel=1e-5)
    expected = 0.9 * centre + 0.1 * torch.cat(teacher).mean(0)
    assert torch.allclose(model.centre.value, expected, atol=1e-6)
    assert float(found) != pytest.approx(reference_loss(student, teacher, expected, 0.04), rel=1e-3)


def test_evaluation_moves_no_centre_and_always_sees_the_same_crops() -> None:
    model, tiles = apart(dino()).eval(), torch.randn(4, 2, 32, 32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        assert model(tiles).loss == model(tiles).loss
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_without_local_crops_only_the_other_global_crop_is_predicted() -> None:
    model = apart(dino(objective={"local_crops": 0}))
    model.before_step(step())
    wide, centre = torch.randn(6, 2, 32, 32), model.centre.value.clone()
    with torch.no_grad():
        student = [model.student.head(model.student.vectors(part)) for part in wide.chunk(2)]
        teacher = [model.teacher.head(model.teacher.vectors(part)) for part in wide.chunk(2)]
        found = model.distil(wide, None, generator()).loss
    assert float(found) == pytest.approx(reference_loss(student, teacher, centre, 0.04), rel=1e-5)


def test_the_teacher_is_the_moving_average_of_the_student_with_its_buffers() -> None:
    model = apart(dino(encoder="resnet18", width=8, depth=None, patch=16, objective={"local_size": 32}))
    student, teacher = dict(model.student.named_parameters()), dict(model.teacher.named_parameters())
    before = {name: value.clone() for name, value in teacher.items()}
    for buffer in model.student.buffers():
        buffer.add_(1)
    model.after_update(step(10, per_epoch=2, epochs=10))
    # Half of the way: 1 - (1 - .996) (1 + cos(pi / 2)) / 2
    momentum = 0.998
    for name, value in teacher.items():
        assert torch.allclose(value, momentum * before[name] + (1 - momentum) * student[name], atol=1e-6)
    assert any("running_mean" in name for name, _ in model.teacher.named_buffers())
    for (_, own), (_, other) in zip(model.teacher.named_buffers(), model.student.named_buffers(), strict=True):
        assert torch.equal(own, other)


@pytest.mark.parametrize(
    ("number", "momentum"), [(0, 0.996), (5, 1 - 0.004 * (1 + math.cos(math.pi / 4)) / 2), (20, 1.0)]
)
def test_the_momentum_rises_as_a_cosine(number: int, momentum: float) -> None:
    model = dino()
    with torch.no_grad():
        model.teacher.head.last_layer.weight.zero_()
        model.student.head.last_layer.weight.fill_(1)
    model.after_update(step(number))
    assert torch.allclose(model.teacher.head.last_layer.weight, torch.full((32, 16), 1 - momentum), atol=1e-6)


def test_the_teachers_temperature_rises_by_epoch() -> None:
    model = dino(objective={"temperature_epochs": 4})
    seen = []
    for number in (0, 1, 2, 7, 8, 19):
        model.before_step(step(number))
        seen.append(model.temperature)
    assert seen == pytest.approx([0.04, 0.04, 0.0475, 0.0625, 0.07, 0.07])


def test_prototypes_are_frozen_in_the_first_epoch_only_and_the_teacher_has_no_gradient() -> None:
    model, tiles = dino(), torch.randn(4, 2, 32, 32)
    for number, frozen in ((0, True), (1, True), (2, False)):
        model.before_step(step(number))
        model(tiles, generator()).loss.backward()
        assert model.student.head.last_layer.weight.grad is not None
        model.before_update(step(number))
        assert (model.student.head.last_layer.weight.grad is None) == frozen
        model.zero_grad()
    assert not any(p.requires_grad for p in model.teacher.parameters())


def test_training_without_its_schedules_is_refused() -> None:
    with pytest.raises(PhenoloomError, match="before_step"):
        dino()(torch.randn(2, 2, 32, 32), generator())


def test_the_head_gives_cosines_with_unit_prototypes() -> None:
    head = DINOHead(6, 8, 4, 5)
    with torch.no_grad():
        head.last_layer.weight.mul_(100)  # gains stay at one
        outputs = head(torch.randn(50, 6))
    assert outputs.abs().max() <= 1 + 1e-6
    expected = F.cosine_similarity(head.mlp(torch.ones(1, 6))[:, None], head.last_layer.weight[None], dim=-1)
    assert torch.allclose(head(torch.ones(1, 6)), expected, atol=1e-6)


def test_only_a_batch_normalised_head_separates_vectors_that_have_nearly_all_in_common() -> None:
    torch.manual_seed(0)
    vectors = 10 * torch.randn(1, 64) + 0.1 * torch.randn(32, 64)

    def likeness(head: DINOHead) -> float:
        outputs = head(vectors)
        return float(F.cosine_similarity(outputs[:, None], outputs[None], dim=-1).mean())

    with torch.no_grad():
        assert likeness(DINOHead(64, 128, 32, 256)) > 0.99
        assert likeness(DINOHead(64, 128, 32, 256, batch_norm=True)) < 0.5


def test_the_embedding_is_the_mean_over_orientations_where_orientation_means_nothing() -> None:
    tiles = torch.randn(4, 2, 32, 32)
    turned = random_symmetry(tiles, generator())
    with torch.no_grad():
        either, upright = dino().eval(), dino(augment={"flip": False}).eval()
        assert torch.allclose(either.embed(tiles), either.embed(turned), atol=1e-5)
        expected = torch.stack([either.teacher.vectors(view) for view in symmetries(tiles)]).mean(0)
        assert torch.allclose(either.embed(tiles), expected, atol=1e-5)
        assert torch.equal(upright.embed(tiles), upright.teacher.vectors(tiles))


def test_a_centre_without_outputs_stays() -> None:
    centre = Centre(3, 0.5)
    centre.follow(torch.tensor([[2.0, 4.0, 6.0], [0.0, 0.0, 0.0]]))
    assert centre.value.tolist() == [0.5, 1.0, 1.5]
    centre.follow(torch.empty(0, 3))
    assert centre.value.tolist() == [0.5, 1.0, 1.5]


def test_koleo_is_minus_the_mean_log_distance_to_the_nearest_neighbour() -> None:
    angle = torch.tensor([0.0, 0.3, 1.0, 2.5])
    vectors = 7 * torch.stack([angle.cos(), angle.sin()], 1)
    nearest = torch.tensor([0.3, 0.3, 0.7, 1.5])
    assert koleo(vectors) == pytest.approx(float(-(2 * (nearest / 2).sin()).log().mean()), rel=1e-4)
    assert torch.isfinite(koleo(torch.ones(3, 4, requires_grad=True)))


def test_masked_patches_weigh_the_same_in_every_tile() -> None:
    hidden = torch.tensor([[True, True, False], [False, False, False], [False, False, True]])
    targets, predicted = torch.rand(3, 5).softmax(1), torch.randn(3, 5)
    single = -(targets * predicted.log_softmax(1)).sum(1)
    expected = ((single[0] + single[1]) / 2 + single[2]) / 2
    assert torch.allclose(patch_cross_entropy(targets, predicted, hidden), expected)
    none = patch_cross_entropy(targets[:0], predicted[:0], torch.zeros(3, 3, dtype=torch.bool))
    assert none == 0


def test_patches_are_hidden_in_half_of_the_tiles_and_there_a_share_of_a_tenth_to_a_half() -> None:
    hidden = random_patches(torch.empty(2000, 1, 80, 80), 8, generator()).float().mean(1)
    assert (hidden > 0).float().mean() == pytest.approx(0.5, abs=0.05)
    some = hidden[hidden > 0]
    assert some.min() >= 0.1
    assert some.max() <= 0.5
    assert some.mean() == pytest.approx(0.3, abs=0.02)


def test_optional_terms_are_added_with_their_weights() -> None:
    model = apart(dino(objective={"ibot": 0.7, "koleo": 0.3}))
    model.before_step(step())
    outcome = model(torch.randn(6, 2, 32, 32), generator(1))
    parts = outcome.parts
    assert torch.allclose(outcome.loss, parts["dino"] + 0.7 * parts["ibot"] + 0.3 * parts["koleo"])
    outcome.loss.backward()
    assert all(p.grad is not None for p in model.student.parameters())
    assert model.student.backbone.mask_token.grad.abs().sum() > 0
    assert not torch.equal(model.patch_centre.value, torch.zeros(32))


def test_the_monitors_show_a_collapse() -> None:
    model = dino()
    same = torch.full((6, 32), 1 / 32)
    decided = F.one_hot(torch.arange(6), 32).float()
    flat = model._monitors(same, torch.ones(6, 8))
    lively = model._monitors(decided, torch.eye(6, 8))
    assert flat["teacher_entropy"] == pytest.approx(math.log(32), rel=1e-5)
    assert flat["teacher_information"] == pytest.approx(0, abs=1e-5)
    assert flat["spread"] == 0
    assert lively["teacher_entropy"] == 0
    assert lively["teacher_information"] == pytest.approx(math.log(6), rel=1e-5)
    assert lively["spread"] > 0.2


def test_the_embedding_is_the_teachers_and_has_the_size_asked_for() -> None:
    model, tiles = apart(dino(latent=20)).eval(), torch.randn(3, 2, 32, 32)
    with torch.no_grad():
        assert model.embed(tiles).shape == (3, 20)
        assert torch.equal(
            model.embed(tiles, orientations=False), model.teacher.project(model.teacher.backbone(tiles)[:, 0])
        )
        assert model.reconstruct(tiles) is None
    assert model.keeps_last
    assert model.makes_views


def test_training_is_a_function_of_its_generator() -> None:
    losses = []
    for seed in (1, 1, 2):
        model = apart(dino(drop_path=0.3))
        model.before_step(step())
        losses.append(model(torch.ones(4, 2, 32, 32).cumsum(3), generator(seed)).loss.item())
        torch.manual_seed(0)
    assert losses[0] != losses[2]
    model = dino(drop_path=0.3)
    model.before_step(step())
    tiles = torch.randn(4, 2, 32, 32)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    first = model(tiles, generator(1)).loss
    model.load_state_dict(state)
    assert model(tiles, generator(1)).loss == first


def test_a_small_dino_learns_to_distinguish_64_tiles() -> None:
    # The loss alone could fall by a collapse. What shows learning: it falls below the entropy of what the teacher says
    # of all tiles together, which is the least loss of a student that does not look at the tile.
    crops = {"local_crops": 0, "global_scale": [0.8, 1.0]}
    model = dino(objective={"frozen_epochs": 0, "momentum": 0.99, "teacher_temperature": 0.04, **crops})
    tiles, gains, losses = blobs(64), [], []
    optimizer = torch.optim.AdamW(model.student.parameters(), lr=5e-4)
    for number in range(80):
        place = step(number, per_epoch=10, epochs=8)
        model.before_step(place)
        outcome = model(tiles, generator(number))
        optimizer.zero_grad()
        outcome.loss.backward()
        model.before_update(place)
        torch.nn.utils.clip_grad_norm_(model.student.parameters(), 3.0)
        optimizer.step()
        model.after_update(place)
        parts = {name: value.item() for name, value in outcome.parts.items()}
        gains.append(parts["teacher_entropy"] + parts["teacher_information"] - parts["dino"])
        losses.append(parts["dino"])
    assert gains[0] < 0
    assert gains[-1] > 0.7
    assert losses[-1] < 0.85 * max(losses)
