"""Model files: an architecture plus an objective plus how it is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .sections import Fraction, Section


class Training(Section):
    """How a model is trained."""

    epochs: int = Field(100, ge=1, description="most epochs")
    batch_size: int = Field(64, ge=2, description="tiles or contours a step")
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate of AdamW")
    weight_decay: float = Field(0.05, ge=0, description="weight decay of AdamW; none on biases, norms and codebooks")
    warmup_epochs: int = Field(5, ge=0, description="epochs of linear warm-up; a cosine decay follows")
    gradient_clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="share of the train groups held out for early stopping; never a test group"
    )
    patience: int = Field(20, ge=1, description="epochs without a better validation loss before training stops")
    precision: Literal["auto", "float32", "bf16"] = Field(
        "auto", description="auto: bf16 where the device computes it natively, else float32"
    )
    threads: int = Field(
        4,
        ge=1,
        description="threads of a training job; arithmetic on a CPU, and so the weights, depend on their number",
    )


class Augment(Section):
    """Augmentations, in batches on the device."""

    flip: bool = Field(True, description="flips and right-angle rotations")
    gain: float = Field(0.0, ge=0, description="sd of a random gain a channel; 0 where intensity is the phenotype")
    offset: float = Field(0.0, ge=0, description="sd of a random offset a channel, in sd of the channel")
    noise: float = Field(0.0, ge=0, description="sd of added Gaussian noise, in sd of the channel")


class VQVAE(Section):
    """Vector-quantised autoencoder (van den Oord et al. 2017) with an EMA codebook."""

    name: Literal["vqvae"]
    codes: int = Field(512, ge=2, description="vectors in the codebook")
    code_dim: int = Field(64, ge=1, description="dimension of a code")
    commitment: float = Field(0.25, ge=0, description="weight of the commitment loss")
    decay: Annotated[float, Field(gt=0, lt=1)] = Field(0.99, description="decay of the codebook's moving average")
    revive_after: int = Field(
        50, ge=1, description="steps without use after which a code is moved to a random encoder output"
    )


class ImageModel(Section):
    """A model of tiles."""

    view: Literal["tiles"]
    encoder: Literal["resnet18"] = Field("resnet18", description="architecture of the encoder; the decoder mirrors it")
    width: int = Field(64, ge=4, description="channels of the first stage (64 in the paper)")
    input_size: int = Field(224, ge=32, multiple_of=32, description="tiles are resized to this height and width in px")
    latent: int = Field(512, ge=2, description="size of the embedding")
    objective: VQVAE = Field(description="what is optimised")
    augment: Augment = Field(default_factory=Augment, description="augmentations")
    training: Training = Field(default_factory=Training, description="training")

    @model_validator(mode="after")
    def _latent_is_whole_tokens(self) -> ImageModel:
        code_dim = self.objective.code_dim
        if self.latent % code_dim:
            raise ValueError(f"`latent` must be a multiple of `objective.code_dim`, found {self.latent} and {code_dim}")
        return self


class ShapeAE(Section):
    """Autoencoder whose loss does not depend on where the contour starts or which way it runs."""

    name: Literal["ae"]
    noise: Fraction = Field(0.0, description="sd of noise on the points in training, in units of the contour's scale")


class ShapeModel(Section):
    """A model of contours through their distance matrices."""

    view: Literal["shapes"]
    encoder: Literal["cyclic-resnet"] = Field(
        "cyclic-resnet", description="circular convolutions over the cyclic form of the matrix, pooled over the start"
    )
    width: int = Field(32, ge=4, description="channels of the first stage")
    latent: int = Field(64, ge=2, description="size of the embedding")
    objective: ShapeAE = Field(description="what is optimised")
    training: Training = Field(default_factory=Training, description="training")


Model = Annotated[ImageModel | ShapeModel, Field(discriminator="view")]
