"""ResNets of 18 to 152 layers (He et al. 2016) for any number of channels, and decoders that mirror them.

Batch normalisation, not group or instance normalisation: those divide each image by its own contrast, and how bright a
stain is may be the phenotype. In evaluation it is a fixed affine map, so an embedding does not depend on its batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

STAGES = (1, 2, 4, 8)
WIDTH = 64
"""Channels of the first stage in the paper."""
REDUCTION = 32
"""A map of the encoder is this many times smaller than its image."""
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Depth -> blocks of each stage (table 1 of the paper)."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut: (b, inputs, y, x) -> (b, width, y / stride, x / stride)."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.act = nn.ReLU(inplace=True)
        self.shortcut = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return maps (b, outputs, y / stride, x / stride)."""
        y = self.act(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        added: Tensor = self.act(y + self.shortcut(x))
        return added


class BottleneckBlock(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with a shortcut: (b, inputs, y, x) -> (b, 4 width, y / stride, x / stride).

    The 3x3 convolution strides, not the first one: the form that all later libraries train ("v1.5").
    """

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(outputs)
        self.act = nn.ReLU(inplace=True)
        self.shortcut = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return maps (b, outputs, y / stride, x / stride)."""
        y = self.act(self.norm1(self.conv1(x)))
        y = self.act(self.norm2(self.conv2(y)))
        y = self.norm3(self.conv3(y))
        added: Tensor = self.act(y + self.shortcut(x))
        return added


class ResNetEncoder(nn.Module):
    """Images (b, channels, y, x) -> features (b, features, y / 32, x / 32).

    `features` is 8 x `width` with basic blocks (18 and 34 layers) and 32 x `width` with bottlenecks.
    """

    reduction = REDUCTION

    def __init__(self, channels: int, width: int = WIDTH, depth: int = 18) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 7, 2, 3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        )
        block = block_of(depth)
        stages: list[nn.Module] = []
        inputs = width
        for stage, (factor, count) in enumerate(zip(STAGES, BLOCKS[depth], strict=True)):
            for i in range(count):
                stages.append(block(inputs, width * factor, 2 if stage > 0 and i == 0 else 1))
                inputs = width * factor * block.expansion
        self.stages = nn.Sequential(*stages)
        self.features = inputs
        _initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return the feature map."""
        features: Tensor = self.stages(self.stem(images))
        return features

    def maps(self, images: Tensor) -> Tensor:
        """Return the feature map, under the name that every encoder has for it."""
        return self(images)  # type: ignore[no-any-return]

    def vector(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return vectors (b, features): the mean over positions; `generator` is not used."""
        return self(images).mean((2, 3))  # type: ignore[no-any-return]


class ResNetDecoder(nn.Module):
    """Latent maps (b, latent, y, x) -> images (b, channels, 32 y, 32 x).

    Upsampling is nearest neighbour followed by a convolution: transposed convolutions leave a checkerboard (Odena et
    al. 2016), and the backward pass of bilinear upsampling is not deterministic on CUDA.
    """

    def __init__(self, latent: int, channels: int, width: int = WIDTH, depth: int = 18) -> None:
        super().__init__()
        block = block_of(depth)
        inputs = width * STAGES[-1] * block.expansion
        layers: list[nn.Module] = _convolution(latent, inputs, 1)
        # The smallest map has one block less: its first convolution takes the place of that block.
        layers += [block(inputs, width * STAGES[-1]) for _ in range(BLOCKS[depth][-1] - 1)]
        for factor, count in zip(reversed(STAGES[:-1]), reversed(BLOCKS[depth][:-1]), strict=True):
            layers.append(nn.Upsample(scale_factor=2))
            for _ in range(count):
                layers.append(block(inputs, width * factor))
                inputs = width * factor * block.expansion
        # High resolution is dear: plain narrow convolutions there, as the encoder has a plain stem.
        output = nn.Conv2d(width, channels, 3, 1, 1)
        layers += [nn.Upsample(scale_factor=2), *_convolution(inputs, width, 3), nn.Upsample(scale_factor=2), output]
        self.layers = nn.Sequential(*layers)
        _initialise(self)
        # Training starts at the mean image; He's gain would start it far outside the range of a z-score.
        nn.init.normal_(output.weight, std=1e-2)

    def forward(self, latents: Tensor) -> Tensor:
        """Return images (b, channels, 32 y, 32 x)."""
        images: Tensor = self.layers(latents)
        return images


def block_of(depth: int) -> type[BasicBlock | BottleneckBlock]:
    """Return the block of the network with `depth` layers."""
    return BasicBlock if depth < 50 else BottleneckBlock


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


def _convolution(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _initialise(net: nn.Module) -> None:
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
