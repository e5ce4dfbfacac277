"""Patches as rows of numbers, and a transformer that decodes tokens into them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .positions import sincos
from .vit import EPSILON, Block, Size, initialise


def patchify(images: Tensor, patch: int) -> Tensor:
    """Return patches (b, patches, patch * patch * c), row by row; the channel runs fastest (He et al. 2022)."""
    b, c, y, x = images.shape
    cut = images.reshape(b, c, y // patch, patch, x // patch, patch)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(b, -1, patch * patch * c)


def unpatchify(patches: Tensor, patch: int, rows: int) -> Tensor:
    """Return the images of patches, the inverse of `patchify`, for images of `rows` patches in height."""
    b, count, values = patches.shape
    c, columns = values // patch**2, count // rows
    cut = patches.reshape(b, rows, columns, patch, patch, c)
    return cut.permute(0, 5, 1, 3, 2, 4).reshape(b, c, rows * patch, columns * patch)


class TokenDecoder(nn.Module):
    """Tokens (b, patches, inputs) of a grid of patches -> their pixels (b, patches, patch * patch * channels)."""

    positions: Tensor

    def __init__(self, inputs: int, channels: int, grid: int, patch: int, size: Size) -> None:
        super().__init__()
        self.embed = nn.Linear(inputs, size.width)
        self.blocks = nn.ModuleList(Block(size.width, size.heads) for _ in range(size.depth))
        self.norm = nn.LayerNorm(size.width, EPSILON)
        self.pred = nn.Linear(size.width, patch * patch * channels)
        self.register_buffer("positions", sincos(size.width, grid, grid), persistent=False)
        initialise(self)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return pixels (b, patches, patch * patch * channels)."""
        return self.decode(self.embed(tokens) + self.positions)

    def decode(self, tokens: Tensor) -> Tensor:
        """Return pixels from embedded tokens (b, n, width) that already have positions."""
        for block in self.blocks:
            tokens = block(tokens)
        pixels: Tensor = self.pred(self.norm(tokens))
        return pixels


class ViTDecoder(nn.Module):
    """Maps (b, inputs, y, x) of a square grid -> images (b, channels, patch y, patch x), by a transformer."""

    def __init__(self, inputs: int, channels: int, grid: int, patch: int, size: Size) -> None:
        super().__init__()
        self.patch = patch
        self.tokens = TokenDecoder(inputs, channels, grid, patch, size)

    def forward(self, maps: Tensor) -> Tensor:
        """Return images (b, channels, patch y, patch x)."""
        pixels = self.tokens(maps.flatten(2).transpose(1, 2))
        return unpatchify(pixels, self.patch, maps.shape[2])


def scatter_tokens(seen: Tensor, order: Tensor, mask_token: Tensor) -> Tensor:
    """Return tokens (b, n, d) with visible tokens at their positions and the mask token elsewhere.

    Args:
        seen: Visible tokens (b, v, d).
        order: Patches (b, n) in the order of the draw, the v visible ones first.
        mask_token: The mask token (1, 1, d).
    """
    b, n = order.shape
    full = mask_token.to(seen.dtype).expand(b, n, seen.shape[2])
    place = order[:, : seen.shape[1], None].expand(-1, -1, seen.shape[2])
    return torch.scatter(full, 1, place, seen)
