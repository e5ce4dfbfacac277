"""Self-distillation without labels (DINO, Caron et al. 2021), with the optional terms of iBOT and KoLeo.

A student sees all crops of a tile, a teacher, which is a moving average of the student, sees the two global ones; each
crop's output of the student should predict the teacher's output for every other global crop. Centring and a low
temperature of the teacher keep both from collapsing. The embedding is the teacher's class token (or mean feature). With
`augment.flip`, which says that orientation means nothing, it is the mean over the eight flips and right-angle rotations
of the tile, and so exactly invariant to them: that crops are flipped in training brings it only near.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..augment.tiles import crops
from ..config import image_objectives as config
from ..config.model import ImageModel
from ..core.errors import PhenoloomError
from ..nets.heads import DINOHead
from ..nets.torch_private import foreach_lerp_
from ..nets.vit import ViT
from .base import Objective, Outcome, Step, fixed_generator
from .dino_loss import Centre, cross_entropies, koleo, patch_cross_entropy, random_patches, sharpened
from .encoders import build_encoder, over_orientations

GLOBAL_CROPS = 2


class Network(nn.Module):
    """A backbone, its projection to `latent` values, and the head on them."""

    def __init__(self, model: ImageModel, settings: config.DINO, channels: int) -> None:
        super().__init__()
        self.backbone = build_encoder(model, channels, mask_token=settings.ibot > 0)
        features = self.backbone.features
        self.project: nn.Module = nn.Identity() if model.latent == features else nn.Linear(features, model.latent)
        self.head = DINOHead(
            model.latent,
            settings.hidden,
            settings.bottleneck,
            settings.prototypes,
            batch_norm=settings.head_batch_norm,
        )

    def vectors(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Embeddings (b, latent)."""
        return self.project(self.backbone.vector(images, generator))  # type: ignore[no-any-return]

    def tokens(
        self, images: Tensor, generator: torch.Generator | None = None, hidden: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Embeddings (b, latent) and projected patch tokens (b, patches, latent) of a ViT."""
        assert isinstance(self.backbone, ViT)
        tokens = self.project(self.backbone(images, generator, hidden))
        return tokens[:, 0], tokens[:, self.backbone.prefix :]


class DINO(Objective):
    """Cross-entropy between teacher and student over crops (+ iBOT over hidden patches + KoLeo between tiles)."""

    def __init__(self, model: ImageModel, channels: int) -> None:
        super().__init__()
        assert isinstance(model.objective, config.DINO)
        self.settings, self.augment, self.size = model.objective, model.augment, model.input_size
        self.any_orientation = model.augment.flip
        self.student = Network(model, self.settings, channels)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.centre = Centre(self.settings.prototypes, self.settings.centre_momentum)
        self.patch_centre = (
            Centre(self.settings.prototypes, self.settings.centre_momentum) if self.settings.ibot else None
        )
        self.temperature: float | None = None

    @property
    def makes_views(self) -> bool:
        """The crops are its own."""
        return True

    @property
    def keeps_last(self) -> bool:
        """Losses under different temperatures and teachers are different questions."""
        return True

    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> Outcome:
        """Loss of normalised tiles (b, c, y, x); without a generator the crops are the same every time."""
        if self.temperature is None and self.training:
            raise PhenoloomError("DINO needs `before_step` before each step of training: its schedules follow the step")
        settings, draws = self.settings, generator or fixed_generator(inputs)
        wide = crops(inputs, self.augment, settings.global_scale, self.size, GLOBAL_CROPS, draws)
        close = None
        if settings.local_crops:
            scale, size = settings.local_scale, settings.local_size
            close = crops(inputs, self.augment, scale, size, settings.local_crops, draws)
        return self.distil(wide, close, draws)

    def distil(self, wide: Tensor, close: Tensor | None, generator: torch.Generator) -> Outcome:
        """Loss of global crops (2 b, c, y, x) and local crops (n b, c, y, x), view by view."""
        settings, temperature = self.settings, self.temperature or self.settings.teacher_temperature
        hidden = random_patches(wide, self.student.backbone.reduction, generator) if settings.ibot else None
        with torch.no_grad():
            target_vectors, target_tokens = self._see(self.teacher, wide, None, None)
            outputs = self.teacher.head(target_vectors).float()
            target = sharpened(outputs, self.centre.value, temperature)
        vectors, tokens = self._see(self.student, wide, generator, hidden)
        views = [vectors] if close is None else [vectors, self.student.vectors(close, generator)]
        predicted = torch.cat([self.student.head(view) for view in views]).float() / settings.student_temperature
        b = len(wide) // GLOBAL_CROPS
        loss = cross_entropies(target.view(GLOBAL_CROPS, b, -1), predicted.view(-1, b, predicted.shape[-1]))
        parts = {"dino": loss, **self._monitors(target, target_vectors)}
        if hidden is not None and tokens is not None and target_tokens is not None and self.patch_centre is not None:
            parts["ibot"] = self._patch_loss(tokens[hidden], target_tokens[hidden], hidden, temperature)
            loss = loss + settings.ibot * parts["ibot"]
        if settings.koleo:
            parts["koleo"] = torch.stack([koleo(view) for view in vectors.float().chunk(GLOBAL_CROPS)]).mean()
            loss = loss + settings.koleo * parts["koleo"]
        # After the loss: a centre that already held this batch would tell the student about its own targets.
        if self.training:
            self.centre.follow(outputs)
        return Outcome(loss, parts, features=vectors.float().view(GLOBAL_CROPS, b, -1))

    def embed(self, inputs: Tensor) -> Tensor:
        """Vectors (b, latent) of the teacher."""
        return over_orientations(self.embed_once, inputs, self.any_orientation)

    def embed_once(self, inputs: Tensor) -> Tensor:
        """Vectors (b, latent) of tiles as they lie."""
        return self.teacher.vectors(inputs).float()

    def before_step(self, step: Step) -> None:
        """Set the teacher's temperature, which rises linearly over the first epochs."""
        settings = self.settings
        risen = min(step.epoch / settings.temperature_epochs, 1.0) if settings.temperature_epochs else 1.0
        low, high = settings.first_teacher_temperature, settings.teacher_temperature
        self.temperature = low + (high - low) * risen

    def before_update(self, step: Step) -> None:
        """Leave the prototypes where they are during the first epochs."""
        if step.epoch < self.settings.frozen_epochs:
            self.student.head.last_layer.weight.grad = None

    @torch.no_grad()
    def after_update(self, step: Step) -> None:
        """Move the teacher towards the student; buffers, which are no weights, are copied."""
        momentum = 1 - (1 - self.settings.momentum) * (1 + math.cos(math.pi * step.fraction)) / 2
        foreach_lerp_(list(self.teacher.parameters()), list(self.student.parameters()), 1 - momentum)
        for own, other in zip(self.teacher.buffers(), self.student.buffers(), strict=True):
            own.copy_(other)

    def _see(
        self, net: Network, images: Tensor, generator: torch.Generator | None, hidden: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        if self.settings.ibot:
            return net.tokens(images, generator, hidden)
        return net.vectors(images, generator), None

    def _patch_loss(self, tokens: Tensor, targets: Tensor, hidden: Tensor, temperature: float) -> Tensor:
        assert self.patch_centre is not None
        with torch.no_grad():
            outputs = self.teacher.head(targets).float()
            target = sharpened(outputs, self.patch_centre.value, temperature)
        predicted = self.student.head(tokens).float() / self.settings.student_temperature
        if self.training:
            self.patch_centre.follow(outputs)
        return patch_cross_entropy(target, predicted, hidden)

    @torch.no_grad()
    def _monitors(self, target: Tensor, vectors: Tensor) -> dict[str, Tensor]:
        """What shows a collapse: a teacher that is undecided or says the same of all tiles, and vectors that agree."""
        entropy = torch.special.entr(target).sum(-1).mean()
        overall = torch.special.entr(target.mean(0)).sum()
        spread = F.normalize(vectors.float(), dim=-1).std(0).mean()
        return {"teacher_entropy": entropy, "teacher_information": overall - entropy, "spread": spread}
