"""Vision transformer (Dosovitskiy et al. 2021) with the parameter names of DINO (Caron et al. 2021) and timm.

`cls_token, pos_embed, patch_embed.proj, blocks.N.{norm1, attn.qkv, attn.proj, norm2, mlp.fc1, mlp.fc2}, norm`, so that
published weights of that family load by name; `register_tokens` (Darcet et al. 2024), `mask_token` and layer scale
(`ls1.gamma`, `ls2.gamma`) as in DINOv2.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .positions import interpolated, sincos


class Size(NamedTuple):
    """Size of a transformer.

    Attributes:
        width: Values of a token.
        depth: Blocks.
        heads: Attention heads.
    """

    width: int
    depth: int
    heads: int


SIZES = {
    "tiny": Size(192, 12, 3),
    "small": Size(384, 12, 6),
    "base": Size(768, 12, 12),
    "large": Size(1024, 24, 16),
    "huge": Size(1280, 32, 16),
}
EPSILON = 1e-6
"""Of the layer norms, as in DINO and MAE."""


class PatchEmbed(nn.Module):
    """Images (b, channels, y, x) -> a token for each patch, row by row: (b, y / patch * x / patch, width)."""

    def __init__(self, channels: int, patch: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch, patch)

    def forward(self, images: Tensor) -> Tensor:
        """Return tokens (b, patches, width)."""
        tokens: Tensor = self.proj(images)
        return tokens.flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention between the tokens (b, n, width) of an image."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens (b, n, width)."""
        b, n, width = tokens.shape
        q, k, v = self.qkv(tokens).view(b, n, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        output: Tensor = self.proj(mixed.transpose(1, 2).reshape(b, n, width))
        return output


class MLP(nn.Module):
    """Two layers with a GELU between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        output: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return output


class LayerScale(nn.Module):
    """A learned factor a value (Touvron et al. 2021)."""

    def __init__(self, width: int, start: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), start))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return scaled tokens."""
        return tokens * self.gamma


class Block(nn.Module):
    """Pre-norm transformer block on tokens (b, n, width)."""

    def __init__(self, width: int, heads: int, layer_scale: float | None = None) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, EPSILON)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, EPSILON)
        self.mlp = MLP(width)
        self.ls1 = LayerScale(width, layer_scale) if layer_scale else nn.Identity()
        self.ls2 = LayerScale(width, layer_scale) if layer_scale else nn.Identity()

    def forward(self, tokens: Tensor, keep: Tensor | None = None) -> Tensor:
        """Return tokens of the same shape; `keep` (2, b, 1, 1) scales the branches of each image (stochastic depth)."""
        if keep is None:
            tokens = tokens + self.ls1(self.attn(self.norm1(tokens)))
            return tokens + self.ls2(self.mlp(self.norm2(tokens)))  # type: ignore[no-any-return]
        tokens = tokens + keep[0] * self.ls1(self.attn(self.norm1(tokens)))
        return tokens + keep[1] * self.ls2(self.mlp(self.norm2(tokens)))  # type: ignore[no-any-return]


class ViT(nn.Module):
    """Images (b, channels, y, x) whose sides are multiples of `patch` -> tokens (b, 1 + registers + patches, width).

    `image_size` is the size that the stored positions belong to; other sizes interpolate them. `fixed_positions` are
    those of sines and cosines, which are not trained (He et al. 2022).
    """

    def __init__(
        self,
        channels: int,
        image_size: int,
        patch: int,
        size: Size,
        *,
        registers: int = 0,
        drop_path: float = 0.0,
        fixed_positions: bool = False,
        mask_token: bool = False,
        layer_scale: float | None = None,
    ) -> None:
        super().__init__()
        self.reduction, self.features, self.prefix, self.drop_path = patch, size.width, 1 + registers, drop_path
        grid = image_size // patch
        self.cls_token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid**2, size.width), requires_grad=not fixed_positions)
        self.register_tokens = nn.Parameter(torch.zeros(1, registers, size.width)) if registers else None
        self.mask_token = nn.Parameter(torch.zeros(1, size.width)) if mask_token else None
        self.patch_embed = PatchEmbed(channels, patch, size.width)
        self.blocks = nn.ModuleList(Block(size.width, size.heads, layer_scale) for _ in range(size.depth))
        self.norm = nn.LayerNorm(size.width, EPSILON)
        initialise(self)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        if self.register_tokens is not None:
            nn.init.trunc_normal_(self.register_tokens, std=0.02)
        if fixed_positions:
            self.pos_embed.data[:, 1:] = sincos(size.width, grid, grid)
        else:
            nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, images: Tensor, generator: torch.Generator | None = None, hidden: Tensor | None = None) -> Tensor:
        """Return normalised tokens (b, 1 + registers + patches, width).

        Args:
            images: Images (b, channels, y, x).
            generator: Source of stochastic depth in training; None without it.
            hidden: Mask (b, patches) of the patches that the mask token replaces.
        """
        return self.encode(self.embed(images, hidden), generator)

    def embed(self, images: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Return tokens (b, patches, width) of the patches with their positions; mask tokens where `hidden`."""
        tokens = self.patch_embed(images)
        if hidden is not None and self.mask_token is not None:
            tokens = torch.where(hidden[..., None], self.mask_token.to(tokens.dtype), tokens)
        rows, columns = (side // self.reduction for side in images.shape[-2:])
        return tokens + interpolated(self.pos_embed[:, 1:], rows, columns)  # type: ignore[no-any-return]

    def encode(self, tokens: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return any patch tokens (b, n, width) after all blocks, behind the class token and the registers."""
        first = [self.cls_token + self.pos_embed[:, :1]]
        if self.register_tokens is not None:
            first.append(self.register_tokens)
        # Not `len`, which is a fixed number to whoever exports the network.
        count = tokens.shape[0]
        tokens = torch.cat([part.expand(count, -1, -1).to(tokens.dtype) for part in first] + [tokens], 1)
        keep = self._keep(count, generator)
        for i, block in enumerate(self.blocks):
            tokens = block(tokens, None if keep is None else keep[i])
        normalised: Tensor = self.norm(tokens)
        return normalised

    def vector(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return vectors (b, width): the class token."""
        return self(images, generator)[:, 0]  # type: ignore[no-any-return]

    def maps(self, images: Tensor) -> Tensor:
        """Return patch tokens as a map (b, width, y / patch, x / patch)."""
        tokens = self(images)[:, self.prefix :]
        rows = images.shape[-2] // self.reduction
        return tokens.transpose(1, 2).unflatten(2, (rows, -1))  # type: ignore[no-any-return]

    def _keep(self, count: int, generator: torch.Generator | None) -> Tensor | None:
        """Return factors (blocks, 2, b, 1, 1) of the branches; the rate of dropping rises linearly with depth."""
        if not (self.training and self.drop_path and generator is not None):
            return None
        depth = len(self.blocks)
        rate = torch.linspace(0, self.drop_path, depth, device=generator.device).view(depth, 1, 1, 1, 1)
        draws = torch.rand((depth, 2, count, 1, 1), generator=generator, device=generator.device)
        return (draws >= rate) / (1 - rate)


def initialise(net: nn.Module) -> None:
    """Draw normal weights of standard deviation 0.02, cut at -2 and 2, and set biases to zero."""
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
