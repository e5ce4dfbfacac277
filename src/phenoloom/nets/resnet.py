"""ResNet-18 (He et al. 2016) for any number of channels, and a decoder that mirrors it.

Batch normalisation, not group or instance normalisation: those divide each image by its own contrast, and how bright a
stain is may be the phenotype. In evaluation it is a fixed affine map, so an embedding does not depend on its batch.
"""

from __future__ import annotations

from torch import Tensor, nn

STAGES = (1, 2, 4, 8)
REDUCTION = 32
"""A map of the encoder is this many times smaller than its image."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut: (b, inputs, y, x) -> (b, outputs, y / stride, x / stride)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.act = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Residual block."""
        y = self.act(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        added: Tensor = self.act(y + self.shortcut(x))
        return added


class ResNetEncoder(nn.Module):
    """Images (b, channels, y, x) -> features (b, 8 width, y / 32, x / 32)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 7, 2, 3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        )
        stages: list[nn.Module] = []
        inputs = width
        for stage, factor in enumerate(STAGES):
            outputs = width * factor
            stages += [BasicBlock(inputs, outputs, 1 if stage == 0 else 2), BasicBlock(outputs, outputs)]
            inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.features = inputs
        _initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Feature map."""
        features: Tensor = self.stages(self.stem(images))
        return features


class ResNetDecoder(nn.Module):
    """Latent maps (b, latent, y, x) -> images (b, channels, 32 y, 32 x).

    Upsampling is nearest neighbour followed by a convolution: transposed convolutions leave a checkerboard (Odena et
    al. 2016), and the backward pass of bilinear upsampling is not deterministic on CUDA.
    """

    def __init__(self, latent: int, channels: int, width: int) -> None:
        super().__init__()
        inputs = width * STAGES[-1]
        layers: list[nn.Module] = [*_convolution(latent, inputs, 1), BasicBlock(inputs, inputs)]
        for factor in reversed(STAGES[:-1]):
            outputs = width * factor
            layers += [nn.Upsample(scale_factor=2), BasicBlock(inputs, outputs), BasicBlock(outputs, outputs)]
            inputs = outputs
        # High resolution is dear: plain convolutions there, as the encoder has a plain stem.
        output = nn.Conv2d(inputs, channels, 3, 1, 1)
        layers += [nn.Upsample(scale_factor=2), *_convolution(inputs, inputs, 3), nn.Upsample(scale_factor=2), output]
        self.layers = nn.Sequential(*layers)
        _initialise(self)
        # Training starts at the mean image; He's gain would start it far outside the range of a z-score.
        nn.init.normal_(output.weight, std=1e-2)

    def forward(self, latents: Tensor) -> Tensor:
        """Reconstruction."""
        images: Tensor = self.layers(latents)
        return images


def _convolution(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _initialise(net: nn.Module) -> None:
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
