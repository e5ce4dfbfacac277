"""Encoders of a model file of contours."""

from __future__ import annotations

from ..config.model import ShapeModel
from ..nets.cyclic_resnet import CyclicEncoder
from ..nets.matrix_resnet import MatrixResNet

ShapeEncoder = CyclicEncoder | MatrixResNet


def build_shape_encoder(model: ShapeModel, points: int, outputs: int) -> ShapeEncoder:
    """The encoder of contours of `points` points that gives `outputs` values."""
    if model.encoder == "cyclic-resnet":
        return CyclicEncoder(points, model.width, outputs, model.reflection)
    return MatrixResNet(outputs, model.width, int(model.encoder.removeprefix("resnet")), model.reflection)
