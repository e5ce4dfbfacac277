"""ResNet-18 and ResNet-50 on the distance matrix as one image, after ShapeEmbed: the encoders to compare with.

The matrix is a torus, so every convolution and the maximum pooling wrap around; the matrix and its flip over both axes
(the contour run backwards) are encoded and their features added. Strides make it blind to the start only for shifts by
the network's reduction of 32: unlike `cyclic_resnet.CyclicResNet`, it is not invariant to other starts.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from .bidirectional import BidirectionalEncoder
from .distance_matrix import distance_matrices_torch
from .resnet import ResNetEncoder


class MatrixResNet(BidirectionalEncoder):
    """Contours (b, n, 2) -> vectors (b, outputs), exactly invariant to direction, pose and reflection."""

    def __init__(self, outputs: int, width: int, depth: int, reflection: bool = True) -> None:
        super().__init__(reflection)
        self.net = ResNetEncoder(1, width, depth)
        _wrap(self.net)
        self.project = nn.Linear(self.net.features, outputs)

    def join(self, forwards: Tensor, backwards: Tensor) -> Tensor:
        """Return their sum, as in ShapeEmbed."""
        return forwards + backwards

    def features(self, points: Tensor, hidden: Tensor | None) -> Tensor:
        """Return features of the matrix as one image; rows and columns of `hidden` (b, n) points are zero."""
        matrices = distance_matrices_torch(points)
        if hidden is not None:
            matrices = matrices.masked_fill(hidden[:, :, None] | hidden[:, None], 0)
        return self.net.vector(matrices[:, None])


class _CircularMaxPool(nn.Module):
    """Maximum over 3 x 3 with stride 2, wrapped around."""

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps with half as many rows and columns."""
        return F.max_pool2d(F.pad(maps, (1, 1, 1, 1), mode="circular"), 3, 2)


def _wrap(net: ResNetEncoder) -> None:
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1):
            module.padding_mode = "circular"
    net.stem[-1] = _CircularMaxPool()
