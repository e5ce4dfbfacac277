"""Training objectives of models of contours, one section each, and augmentations of contours."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .base import Fraction, OpenFraction, Section
from .image_objectives import Quantised, Variational

Weight = Annotated[float, Field(ge=0)]


class Penalties(Section):
    """Weights of penalties on decoded matrices that are not distance matrices, for `decoder: matrix`."""

    diagonal: Weight = Field(0.0, description="weight of the mean squared diagonal")
    symmetry: Weight = Field(0.0, description="weight of the mean squared difference from the transpose")
    negativity: Weight = Field(0.0, description="weight of the mean square of negative entries")
    triangle: Weight = Field(
        0.0, description="weight of the mean squared violation of the triangle inequality; takes O(points^3) time"
    )


class Reconstruction(Section):
    """Keys that the objectives with a decoder share."""

    decoder: Literal["points", "matrix"] = Field(
        "points",
        description="output of the decoder. `points`: a contour, so that its distances are a valid matrix by "
        "construction; `matrix`: any matrix, as in ShapeEmbed",
    )
    error: Literal["squared", "absolute"] = Field(
        "squared",
        description="error between matrices, the smallest over all start points (and, with `reflection`, both "
        "directions)",
    )
    noise: Fraction = Field(
        0.0, description="sd of noise on the points of the encoder's input in training, in units of the contour's scale"
    )
    penalties: Penalties = Field(default_factory=Penalties, description="penalties for `decoder: matrix`")


class ShapeAE(Reconstruction):
    """Autoencoder with a loss that does not depend on the start or the direction of a contour."""

    name: Literal["ae"] = Field(description="the objective")


class ShapeVAE(Reconstruction, Variational):
    """Variational autoencoder of distance matrices; with `beta` other than 1 a beta-VAE."""

    name: Literal["vae"] = Field(description="the objective")


class ShapeVQVAE(Reconstruction, Quantised):
    """Vector-quantised autoencoder of distance matrices: the vector is cut into tokens, each replaced by a code."""

    name: Literal["vqvae"] = Field(description="the objective")
    codes: int = Field(128, ge=2, description="vectors in the codebook")
    code_dim: int = Field(8, ge=1, description="dimension of a code")


class ShapeMAE(Reconstruction):
    """Masked autoencoder: arcs of the contour are hidden, and their distances to all points are predicted."""

    name: Literal["mae"] = Field(description="the objective")
    mask_ratio: OpenFraction = Field(0.4, description="share of the points that are hidden from the encoder")
    arc: int = Field(8, ge=1, description="points of a hidden arc")


class ShapeContrast(Section):
    """Contrastive learning between two augmentations of a contour (Chen et al. 2020)."""

    name: Literal["contrast"] = Field(description="the objective")
    temperature: float = Field(0.2, gt=0, description="temperature of the cosine similarities")
    projection: int = Field(128, ge=2, description="width of the projection that is compared")


ShapeObjective = Annotated[ShapeAE | ShapeVAE | ShapeVQVAE | ShapeMAE | ShapeContrast, Field(discriminator="name")]


class ShapeAugment(Section):
    """Augmentations of contours, in batches on the device. Lengths are in units of the contour's scale."""

    stretch: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="sd of the logarithm of a stretch along a random direction"
    )
    elastic: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="sd of a smooth random displacement of the plane"
    )
    ripple: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="largest amplitude of smooth random displacements along the contour"
    )
    cut: Fraction = Field(0.0, description="longest arc that is pulled towards its chord, as a share of the points")
    cut_probability: Fraction = Field(0.5, description="probability that a contour is cut")
    noise: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="largest sd of noise on each point")

    @property
    def any(self) -> bool:
        """Whether any augmentation is on."""
        return any((self.stretch, self.elastic, self.ripple, self.cut, self.noise))
