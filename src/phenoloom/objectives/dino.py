"""Self-distillation without labels (DINO, Caron et al. 2021), with the optional terms of iBOT and KoLeo.

A student sees all crops of a tile. A teacher, which is a moving average of the student, sees the two global ones. The
output of the student for each crop should predict the output of the teacher for every other global crop. Centring and a
low temperature of the teacher keep both from collapsing. The embedding is the teacher's class token (or mean feature).
With `augment.flip`, by which orientation has no meaning, it is the mean over the eight flips and right-angle rotations
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
from .base import Outcome, Step, TileObjective, fixed_generator
from .dino_loss import Centre, cross_entropies, koleo, patch_cross_entropy, random_patches, sharpened
from .encoders import ImageEncoder, build_encoder, build_vit

GLOBAL_CROPS = 2


class Branch(nn.Module):
    """The student or the teacher: a backbone, its projection to `latent` values, and the head on them."""

    def __init__(self, model: ImageModel, settings: config.DINO, backbone: ImageEncoder) -> None:
        super().__init__()
        self.backbone = backbone
        features = backbone.features
        self.project: nn.Module = nn.Identity() if model.latent == features else nn.Linear(features, model.latent)
        self.head = DINOHead(
            model.latent,
            settings.hidden,
            settings.bottleneck,
            settings.prototypes,
            batch_norm=settings.head_batch_norm,
        )

    def vectors(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return embeddings (b, latent)."""
        return self.project(self.backbone.vector(images, generator))  # type: ignore[no-any-return]

    def see(
        self, images: Tensor, generator: torch.Generator | None, hidden: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return embeddings (b, latent), and no tokens."""
        return self.vectors(images, generator), None


class PatchBranch(Branch):
    """A branch with a ViT, which also gives a vector for each patch, as iBOT needs."""

    def __init__(self, model: ImageModel, settings: config.DINO, channels: int) -> None:
        vit = build_vit(model, channels, mask_token=True)
        super().__init__(model, settings, vit)
        self.prefix = vit.prefix

    def see(
        self, images: Tensor, generator: torch.Generator | None, hidden: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return embeddings (b, latent) and projected patch tokens (b, patches, latent).

        Args:
            images: Crops (b, c, y, x).
            generator: Source of stochastic depth; None without it.
            hidden: Mask (b, patches) of the patches that the mask token replaces.
        """
        tokens = self.project(self.backbone(images, generator, hidden))
        return tokens[:, 0], tokens[:, self.prefix :]


class SelfDistillation(TileObjective):
    """Cross-entropy between teacher and student over crops (+ iBOT over hidden patches + KoLeo between tiles)."""

    def __init__(self, model: ImageModel, settings: config.DINO, channels: int) -> None:
        super().__init__(model.augment.flip)
        self.settings, self.augment, self.size = settings, model.augment, model.input_size
        self.student = (
            PatchBranch(model, settings, channels)
            if settings.ibot
            else Branch(model, settings, build_encoder(model, channels))
        )
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.centre = Centre(settings.prototypes, settings.centre_momentum)
        self.patch_centre = Centre(settings.prototypes, settings.centre_momentum) if settings.ibot else None
        self.temperature: float | None = None

    @property
    def makes_views(self) -> bool:
        """Return True: the crops are made here."""
        return True

    @property
    def keeps_last(self) -> bool:
        """Return True: losses under different temperatures and teachers cannot be compared."""
        return True

    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> Outcome:
        """Return the loss of normalised tiles (b, c, y, x); without a generator the crops are the same every time.

        Raises:
            PhenoloomError: In training, `before_step` was not called.
        """
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
        """Return the loss of crops that are ordered view by view.

        Args:
            wide: Global crops (2 b, c, y, x).
            close: Local crops (n b, c, y, x), or None.
            generator: Source of hidden patches and stochastic depth.
        """
        settings, temperature = self.settings, self.temperature or self.settings.teacher_temperature
        hidden = random_patches(wide, self.student.backbone.reduction, generator) if settings.ibot else None
        with torch.no_grad():
            target_vectors, target_tokens = self.teacher.see(wide, None, None)
            outputs = self.teacher.head(target_vectors).float()
            target = sharpened(outputs, self.centre.value, temperature)
        vectors, tokens = self.student.see(wide, generator, hidden)
        views = [vectors] if close is None else [vectors, self.student.vectors(close, generator)]
        predicted = torch.cat([self.student.head(view) for view in views]).float() / settings.student_temperature
        b = len(wide) // GLOBAL_CROPS
        loss = cross_entropies(target.view(GLOBAL_CROPS, b, -1), predicted.view(-1, b, predicted.shape[-1]))
        parts = {"dino": loss, **self._monitors(target, target_vectors)}
        if hidden is not None and tokens is not None and target_tokens is not None and self.patch_centre is not None:
            parts["ibot"] = self._patch_loss(self.patch_centre, tokens[hidden], target_tokens[hidden], hidden)
            loss = loss + settings.ibot * parts["ibot"]
        if settings.koleo:
            parts["koleo"] = torch.stack([koleo(view) for view in vectors.float().chunk(GLOBAL_CROPS)]).mean()
            loss = loss + settings.koleo * parts["koleo"]
        # After the loss: a centre that already held this batch would leak its targets to the student.
        if self.training:
            self.centre.follow(outputs)
        return Outcome(loss, vectors.float().view(GLOBAL_CROPS, b, -1), parts)

    def vectors(self, inputs: Tensor) -> Tensor:
        """Return the vectors (b, latent) of the teacher of tiles as they lie."""
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

    def _patch_loss(self, centre: Centre, tokens: Tensor, targets: Tensor, hidden: Tensor) -> Tensor:
        with torch.no_grad():
            outputs = self.teacher.head(targets).float()
            target = sharpened(outputs, centre.value, self.temperature or self.settings.teacher_temperature)
        predicted = self.student.head(tokens).float() / self.settings.student_temperature
        if self.training:
            centre.follow(outputs)
        return patch_cross_entropy(target, predicted, hidden)

    @torch.no_grad()
    def _monitors(self, target: Tensor, vectors: Tensor) -> dict[str, Tensor]:
        """Return measures of collapse: entropy and information of the teacher, spread of the vectors."""
        entropy = torch.special.entr(target).sum(-1).mean()
        overall = torch.special.entr(target.mean(0)).sum()
        spread = F.normalize(vectors.float(), dim=-1).std(0).mean()
        return {"teacher_entropy": entropy, "teacher_information": overall - entropy, "spread": spread}
