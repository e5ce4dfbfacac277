"""The encoder and the matching decoder that a model file asks for."""

from __future__ import annotations

from torch import nn

from ..config.model import ImageModel, ShapeModel
from ..nets.cyclic_resnet import CyclicResNet
from ..nets.matrix_resnet import MatrixResNet
from ..nets.resnet import WIDTH, ResNetDecoder, ResNetEncoder
from ..nets.vit import SIZES, Size, ViT
from ..nets.vit_decoder import ViTDecoder

ImageEncoder = ResNetEncoder | ViT
ShapeEncoder = CyclicResNet | MatrixResNet


def build_encoder(model: ImageModel, channels: int) -> ImageEncoder:
    """Return the encoder of a model for images of `channels` channels."""
    if model.is_vit:
        return build_vit(model, channels)
    return ResNetEncoder(channels, model.width or WIDTH, int(model.encoder.removeprefix("resnet")))


def build_vit(model: ImageModel, channels: int, *, fixed_positions: bool = False, mask_token: bool = False) -> ViT:
    """Return the vision transformer of a model for images of `channels` channels.

    Args:
        model: A model that has a ViT as its encoder.
        channels: Channels of an image.
        fixed_positions: Positions are sines and cosines rather than trained.
        mask_token: The transformer has a token for hidden patches.
    """
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
    """Return the decoder that mirrors the encoder: maps (b, inputs, y, x) -> images of `channels` channels."""
    if model.is_vit:
        return ViTDecoder(inputs, channels, model.input_size // model.patch, model.patch, vit_size(model))
    return ResNetDecoder(inputs, channels, model.width or WIDTH, int(model.encoder.removeprefix("resnet")))


def build_shape_encoder(model: ShapeModel, points: int, outputs: int) -> ShapeEncoder:
    """Return the encoder of contours of `points` points that gives `outputs` values."""
    if model.encoder == "cyclic-resnet":
        return CyclicResNet(points, model.width, outputs, model.reflection)
    return MatrixResNet(outputs, model.width, int(model.encoder.removeprefix("resnet")), model.reflection)


def vit_size(model: ImageModel) -> Size:
    """Return the published size of the named encoder, changed by the model's own width and depth."""
    size = SIZES[model.encoder.removeprefix("vit-")]
    if model.width is None or model.width == size.width:
        return size._replace(depth=model.depth or size.depth)
    return Size(model.width, model.depth or size.depth, heads_of(model.width))


def heads_of(width: int) -> int:
    """Return the attention heads of a token of `width` values.

    64 values a head as in the paper, and 32 where tokens are small.
    """
    return width // 64 if width % 64 == 0 and width >= 192 else max(1, width // 32)
