"""Encoders and matching decoders of a model file."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..augment.tiles import symmetries
from ..config.model import ImageModel, ShapeModel
from ..nets.cyclic_resnet import CyclicEncoder
from ..nets.matrix_resnet import MatrixResNet
from ..nets.resnet import WIDTH, ResNetDecoder, ResNetEncoder
from ..nets.vit import SIZES, Size, ViT
from ..nets.vit_decoder import ViTDecoder

Encoder = ResNetEncoder | ViT


def vit_size(model: ImageModel) -> Size:
    """The size that the encoder's name stands for, with the model's own width and depth."""
    size = SIZES[model.encoder.removeprefix("vit-")]
    if model.width is None or model.width == size.width:
        return size._replace(depth=model.depth or size.depth)
    return Size(model.width, model.depth or size.depth, heads_of(model.width))


def heads_of(width: int) -> int:
    """Attention heads of a token of `width` values: 64 values a head as in the paper, 32 where tokens are small."""
    return width // 64 if width % 64 == 0 and width >= 192 else max(1, width // 32)


def build_encoder(
    model: ImageModel, channels: int, *, fixed_positions: bool = False, mask_token: bool = False
) -> Encoder:
    """The encoder for images of `channels` channels."""
    if not model.is_vit:
        return ResNetEncoder(channels, model.width or WIDTH, int(model.encoder.removeprefix("resnet")))
    return ViT(
        channels,
        model.input_size,
        model.patch,
        vit_size(model),
        registers=model.registers,
        drop_path=model.drop_path,
        fixed_positions=fixed_positions,
        mask_token=mask_token,
    )


def build_decoder(model: ImageModel, inputs: int, channels: int) -> nn.Module:
    """The decoder of maps (b, inputs, y, x) that mirrors the encoder."""
    if not model.is_vit:
        return ResNetDecoder(inputs, channels, model.width or WIDTH, int(model.encoder.removeprefix("resnet")))
    return ViTDecoder(inputs, channels, model.input_size // model.patch, model.patch, vit_size(model))


def over_orientations(embed: Callable[[Tensor], Tensor], inputs: Tensor, any_orientation: bool) -> Tensor:
    """Vectors of tiles, or their means over the eight flips and right-angle rotations."""
    # One view after the other: eight at once would need eight times the memory.
    views = symmetries(inputs) if any_orientation else [inputs]
    return torch.stack([embed(view) for view in views]).mean(0)


ShapeEncoder = CyclicEncoder | MatrixResNet


def build_shape_encoder(model: ShapeModel, points: int, outputs: int) -> ShapeEncoder:
    """The encoder of contours of `points` points that gives `outputs` values."""
    if model.encoder == "cyclic-resnet":
        return CyclicEncoder(points, model.width, outputs, model.reflection)
    return MatrixResNet(outputs, model.width, int(model.encoder.removeprefix("resnet")), model.reflection)
