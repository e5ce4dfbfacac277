"""Masked autoencoder (He et al. 2022): the encoder sees few patches, and a small decoder guesses the others.

The embedding is the mean over the patch tokens of the whole, unmasked tile, in their own order; with `augment.flip`
also over its eight flips and right-angle rotations.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import image_objectives as config
from ..config.model import ImageModel
from ..nets.vit import Size
from ..nets.vit_decoder import TokenDecoder, patchify, scatter_tokens, unpatchify
from .base import Outcome, TileObjective, fixed_generator
from .encoders import build_vit, heads_of

EPSILON = 1e-6


class MaskedAutoencoder(TileObjective):
    """Mean squared error on the hidden patches, after normalising the pixels of each patch."""

    def __init__(self, model: ImageModel, settings: config.MAE, channels: int) -> None:
        super().__init__(model.augment.flip)
        self.mask_ratio, self.normalise = settings.mask_ratio, settings.normalise_patches
        self.encoder = build_vit(model, channels, fixed_positions=True)
        features = self.encoder.features
        self.project: nn.Module = nn.Identity() if model.latent == features else nn.Linear(features, model.latent)
        width = settings.decoder_width
        size = Size(width, settings.decoder_depth, heads_of(width))
        self.decoder = TokenDecoder(model.latent, channels, model.input_size // model.patch, model.patch, size)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> Outcome:
        """Return the loss of normalised tiles (b, c, y, x); without a generator the masks are the same every time."""
        order, visible = self._draw(inputs, generator)
        tokens = self._encode(inputs, order[:, :visible], generator)
        guessed = self._decode(tokens, order)
        patches = patchify(inputs, self.encoder.reduction)
        target, _, deviation = (
            standardised_patches(patches) if self.normalise else (patches, 0.0, torch.ones((), device=inputs.device))
        )
        error = (guessed - target).square()
        hidden = order[:, visible:, None]
        loss = error.mean(2, keepdim=True).gather(1, hidden).mean()
        raw = (error.detach() * deviation**2).mean(2, keepdim=True).gather(1, hidden).mean()
        return Outcome(loss, tokens[:, 1:].mean(1).float()[None], {"reconstruction": raw})

    def reconstruct(self, inputs: Tensor) -> Tensor:
        """Return tiles (b, c, y, x) with decoded hidden patches, of the true contrast if they were normalised."""
        order, visible = self._draw(inputs, None)
        guessed = self._decode(self._encode(inputs, order[:, :visible], None), order)
        patches = patchify(inputs, self.encoder.reduction)
        if self.normalise:
            _, mean, deviation = standardised_patches(patches)
            guessed = guessed * deviation + mean
        seen = order[:, :visible, None].expand(-1, -1, patches.shape[2])
        shown = guessed.scatter(1, seen, patches.gather(1, seen))
        return unpatchify(shown, self.encoder.reduction, inputs.shape[2] // self.encoder.reduction)

    def _draw(self, inputs: Tensor, generator: torch.Generator | None) -> tuple[Tensor, int]:
        patches = inputs.shape[2] * inputs.shape[3] // self.encoder.reduction**2
        generator = generator or fixed_generator(inputs)
        noise = torch.rand(len(inputs), patches, generator=generator, device=inputs.device)
        return noise.argsort(1), visible_patches(patches, self.mask_ratio)

    def _encode(self, inputs: Tensor, seen: Tensor, generator: torch.Generator | None) -> Tensor:
        """Projected class token and tokens of the patches `seen` (b, v): (b, 1 + v, latent)."""
        tokens = self.encoder.embed(inputs)
        tokens = tokens.gather(1, seen[..., None].expand(-1, -1, tokens.shape[2]))
        tokens = self.encoder.encode(tokens, generator)
        if self.encoder.prefix > 1:
            tokens = torch.cat([tokens[:, :1], tokens[:, self.encoder.prefix :]], 1)
        return self.project(tokens)  # type: ignore[no-any-return]

    def _decode(self, tokens: Tensor, order: Tensor) -> Tensor:
        """Pixels (b, patches, values) of all patches in their own order."""
        embedded = self.decoder.embed(tokens)
        full = scatter_tokens(embedded[:, 1:], order, self.mask_token) + self.decoder.positions
        return self.decoder.decode(torch.cat([embedded[:, :1], full], 1))[:, 1:].float()

    def vectors(self, inputs: Tensor) -> Tensor:
        """Return the means (b, latent) over the patch tokens of tiles as they lie."""
        return self.project(self.encoder(inputs)[:, self.encoder.prefix :]).float().mean(1)  # type: ignore[no-any-return]


def visible_patches(patches: int, mask_ratio: float) -> int:
    """Return how many patches the encoder sees: at least one, and at least one is hidden."""
    return min(max(int(patches * (1 - mask_ratio)), 1), patches - 1)


def standardised_patches(patches: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return patches (b, n, values) of mean 0 and variance 1, their means (b, n, 1) and standard deviations."""
    mean, deviation = patches.mean(2, keepdim=True), (patches.var(2, keepdim=True) + EPSILON).sqrt()
    return (patches - mean) / deviation, mean, deviation
