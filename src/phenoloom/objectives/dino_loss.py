"""The terms of self-distillation: centred targets, cross-entropies over crops and hidden patches, and spreading."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..nets.collective import sum_in_place
from ..nets.precision import in_float32

MASKED_TILES = 0.5
MASKED_PATCHES = (0.1, 0.5)
"""Share of the tiles with hidden patches, and least and largest share of patches hidden in them (iBOT)."""


class Centre(nn.Module):
    """Moving average of the teacher's outputs (eq. 4 of DINO), over all processes."""

    value: Tensor

    def __init__(self, prototypes: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("value", torch.zeros(prototypes))

    @torch.no_grad()
    def follow(self, outputs: Tensor) -> None:
        """Move towards the mean of outputs (n, prototypes); with no output nothing moves."""
        total = torch.cat([outputs.sum(0), outputs.new_tensor([len(outputs)])])
        sum_in_place(total)
        # No branch on the count: it would make the device wait.
        mean = torch.where(total[-1] > 0, total[:-1] / total[-1].clamp(min=1), self.value)
        self.value.lerp_(mean, 1 - self.momentum)


def sharpened(outputs: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """Return the teacher's targets: centred outputs (n, prototypes) through a softmax of low temperature."""
    return ((outputs - centre) / temperature).softmax(-1)


@in_float32
def cross_entropies(targets: Tensor, predicted: Tensor) -> Tensor:
    """Return the mean cross-entropy over all pairs of different views (DINO, eq. 3), a scalar.

    Args:
        targets: Probabilities (g, b, k) of the teacher.
        predicted: Logits (v, b, k) of the student; its first g views are those that the teacher saw.
    """
    logs = predicted.log_softmax(-1)
    pairs = -torch.einsum("gbk,vbk->gv", targets, logs) / targets.shape[1]
    # A view against itself teaches nothing but to copy.
    return (pairs.sum() - pairs.diagonal().sum()) / (pairs.numel() - len(targets))


def patch_cross_entropy(targets: Tensor, predicted: Tensor, hidden: Tensor) -> Tensor:
    """Return the cross-entropy of the hidden patches, averaged in each tile and then over tiles (iBOT, eq. 2).

    Args:
        targets: Probabilities (hidden patches, k) of the teacher, in the order of the mask.
        predicted: Logits (hidden patches, k) of the student.
        hidden: Mask (b, patches) of the hidden patches.
    """
    losses = -(targets * predicted.log_softmax(-1)).sum(-1)
    counts = hidden.sum(1, keepdim=True)
    weights = (1 / counts.clamp(min=1)).expand_as(hidden)[hidden]
    return (losses * weights).sum() / (counts > 0).sum().clamp(min=1)


def random_patches(images: Tensor, patch: int, generator: torch.Generator) -> Tensor:
    """Return the mask (b, patches) of the patches to hide: none in some images, a random share in the others."""
    b, patches = len(images), images.shape[2] * images.shape[3] // patch**2
    draws = torch.rand((b, 2), generator=generator, device=generator.device)
    low, high = MASKED_PATCHES
    share = (low + (high - low) * draws[:, 0]) * (draws[:, 1] < MASKED_TILES)
    ranks = torch.rand((b, patches), generator=generator, device=generator.device).argsort(1).argsort(1)
    return ranks < (share * patches)[:, None]


@in_float32
def koleo(vectors: Tensor) -> Tensor:
    """Return the Kozachenko-Leonenko term (Sablayrolles et al. 2019), a scalar.

    Minus the mean logarithm of the distance from each vector (b, d) to its nearest neighbour, on the unit sphere.
    """
    unit = F.normalize(vectors, dim=-1)
    with torch.no_grad():
        similarity = unit @ unit.T
        similarity.fill_diagonal_(-1)
        nearest = similarity.argmax(1)
    distance = (unit - unit[nearest]).square().sum(1).add(1e-16).sqrt()
    return -(distance + 1e-8).log().mean()
