"""What a model of contours is trained for, one section an objective, and how contours are augmented."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .image_objectives import OpenFraction, Quantised, Variational
from .study import Fraction, Section

Weight = Annotated[float, Field(ge=0)]


class Penalties(Section):
    """Weights of how far a decoded matrix is from one of distances; for `decoder: matrix`."""

    diagonal: Weight = Field(0.0, description="weight of the mean squared diagonal")
    symmetry: Weight = Field(0.0, description="weight of the mean squared difference from the transpose")
    negativity: Weight = Field(0.0, description="weight of the mean square of negative entries")
    triangle: Weight = Field(
        0.0, description="weight of the mean squared excess over the shortest detour; takes O(points^3) time"
    )


class Reconstruction(Section):
    """What the objectives with a decoder share."""

    decoder: Literal["points", "matrix"] = Field(
        "points",
        description="`points`: a contour, whose distances are a valid matrix by construction; `matrix`: any matrix, as "
        "in ShapeEmbed",
    )
    error: Literal["squared", "absolute"] = Field("squared", description="error between matrices at the best start")
    noise: Fraction = Field(
        0.0, description="sd of noise on the points that the encoder sees in training, in units of the contour's scale"
    )
    penalties: Penalties = Field(default_factory=Penalties, description="penalties of `decoder: matrix`")


class ShapeAE(Reconstruction):
    """Autoencoder whose loss does not depend on where the contour starts or which way it runs."""

    name: Literal["ae"]


class ShapeVAE(Reconstruction, Variational):
    """Variational autoencoder of distance matrices; with `beta` other than 1 a beta-VAE."""

    name: Literal["vae"]


class ShapeVQVAE(Reconstruction, Quantised):
    """Autoencoder of distance matrices whose vector is cut into tokens, each replaced by a code."""

    name: Literal["vqvae"]
    codes: int = Field(128, ge=2, description="vectors in the codebook")
    code_dim: int = Field(8, ge=1, description="dimension of a code")


class ShapeMAE(Reconstruction):
    """Masked autoencoder: arcs of the contour are hidden, and their distances to all points are guessed."""

    name: Literal["mae"]
    mask_ratio: OpenFraction = Field(0.4, description="share of the points that the encoder does not see")
    arc: int = Field(8, ge=1, description="points of a hidden arc")


class ShapeContrast(Section):
    """Two random versions of a contour are to get one vector, and other contours others (Chen et al. 2020)."""

    name: Literal["contrast"]
    temperature: float = Field(0.2, gt=0, description="temperature of the similarities")
    projection: int = Field(128, ge=2, description="values of the projection that is compared")


ShapeObjective = Annotated[ShapeAE | ShapeVAE | ShapeVQVAE | ShapeMAE | ShapeContrast, Field(discriminator="name")]


class ShapeAugment(Section):
    """Augmentations of contours, in batches on the device; lengths are in units of the contour's scale."""

    stretch: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="sd of the logarithm of a stretch along a random direction"
    )
    elastic: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="sd of a smooth random displacement of the plane"
    )
    ripple: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="largest size of smooth random displacements along the contour"
    )
    cut: Fraction = Field(0.0, description="longest arc that is pulled towards its chord, as a share of the points")
    cut_probability: Fraction = Field(0.5, description="probability that a contour is cut")
    noise: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="largest sd of noise on each point")

    @property
    def any(self) -> bool:
        """Whether anything is changed at all."""
        return any((self.stretch, self.elastic, self.ripple, self.cut, self.noise))
