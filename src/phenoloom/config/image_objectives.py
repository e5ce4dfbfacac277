"""Training objectives of models of tiles, one section each, and the contrastive term."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .base import Fraction, OpenFraction, Section


class Variational(Section):
    """Keys that the variational autoencoders of tiles and of contours share."""

    beta: float = Field(
        1.0, ge=0, description="weight of the KL divergence from the prior; 1: the evidence lower bound"
    )


class Quantised(Section):
    """Keys of the EMA codebook that the vector-quantised autoencoders of tiles and of contours share."""

    codes: int = Field(512, ge=2, description="vectors in the codebook")
    code_dim: int = Field(64, ge=1, description="dimension of a code")
    commitment: float = Field(0.25, ge=0, description="weight of the commitment loss")
    decay: OpenFraction = Field(0.99, description="decay of the codebook's exponential moving average")
    revive_after: int = Field(
        50, ge=1, description="steps without use after which a code is moved to a random encoder output"
    )


class AE(Section):
    """Autoencoder with a vector as bottleneck."""

    name: Literal["ae"] = Field(description="the objective")
    pool: int = Field(4, ge=1, description="height and width that the feature map is pooled to before the bottleneck")


class VAE(Variational):
    """Variational autoencoder (Kingma and Welling 2014); with `beta` other than 1 a beta-VAE (Higgins et al. 2017)."""

    name: Literal["vae"] = Field(description="the objective")
    pool: int = Field(4, ge=1, description="height and width that the feature map is pooled to before the bottleneck")


class VQVAE(Quantised):
    """Vector-quantised autoencoder (van den Oord et al. 2017) with an EMA codebook."""

    name: Literal["vqvae"] = Field(description="the objective")


class MAE(Section):
    """Masked autoencoder (He et al. 2022); needs a ViT."""

    name: Literal["mae"] = Field(description="the objective")
    mask_ratio: OpenFraction = Field(
        0.75, description="share of the patches that are hidden from the encoder; 0.5 to 0.6 suits small patches"
    )
    normalise_patches: bool = Field(True, description="normalise the target of each patch to mean 0 and variance 1")
    decoder_width: int = Field(512, ge=32, multiple_of=32, description="width of a token in the decoder")
    decoder_depth: int = Field(8, ge=1, description="blocks of the decoder")


class DINO(Section):
    """Self-distillation without labels (Caron et al. 2021), with two global crops and several local crops."""

    name: Literal["dino"] = Field(description="the objective")
    prototypes: int = Field(4096, ge=2, description="outputs of the head; 65536 in the paper, for millions of images")
    hidden: int = Field(2048, ge=8, description="width of the hidden layers of the head")
    bottleneck: int = Field(256, ge=4, description="width of the head before the prototypes")
    head_batch_norm: bool = Field(
        False,
        description="batch normalisation in the head; it keeps the teacher's outputs from becoming equal for all "
        "tiles, as they soon do with a ResNet on a few hundred tiles (`teacher_information` in `metrics.csv`)",
    )
    local_crops: int = Field(8, ge=0, description="local crops a tile")
    local_size: int = Field(96, ge=8, description="height and width of a local crop in px")
    global_scale: tuple[Fraction, Fraction] = Field(
        (0.4, 1.0), description="smallest and largest area of a global crop, as shares of the tile"
    )
    local_scale: tuple[Fraction, Fraction] = Field(
        (0.05, 0.4), description="smallest and largest area of a local crop, as shares of the tile"
    )
    student_temperature: float = Field(0.1, gt=0, description="softmax temperature of the student")
    teacher_temperature: float = Field(0.07, gt=0, description="softmax temperature of the teacher after its warm-up")
    first_teacher_temperature: float = Field(0.04, gt=0, description="softmax temperature of the teacher at the start")
    temperature_epochs: int = Field(30, ge=0, description="epochs of warm-up, in which the teacher's temperature rises")
    momentum: Fraction = Field(0.996, description="momentum of the teacher at the start; it rises to 1 along a cosine")
    centre_momentum: Fraction = Field(0.9, description="momentum of the centre of the teacher's outputs")
    frozen_epochs: int = Field(1, ge=0, description="epochs at the start in which the prototypes are frozen")
    ibot: float = Field(0.0, ge=0, description="weight of the masked-patch loss (iBOT, Zhou et al. 2022); needs a ViT")
    koleo: float = Field(
        0.0, ge=0, description="weight of the KoLeo term, which spreads vectors (Sablayrolles et al. 2019)"
    )

    @model_validator(mode="after")
    def _scales_are_ranges(self) -> DINO:
        for name, (low, high) in {"global_scale": self.global_scale, "local_scale": self.local_scale}.items():
            if not 0 < low <= high:
                raise ValueError(f"`{name}` must be two areas in (0, 1], the smaller first, found {[low, high]}")
        return self


ImageObjective = Annotated[AE | VAE | VQVAE | MAE | DINO, Field(discriminator="name")]

Pairs = Literal["views", "channels", "replicates", "wells", "labels"]


class Contrast(Section):
    """Contrastive term (van den Oord et al. 2018, Khosla et al. 2020) that is added to the objective."""

    pairs: Pairs = Field(
        description="positive pairs. `views`: two augmentations of a tile; `channels`: two channels of a tile; "
        "`replicates`: tiles of one group in different wells; `wells`: tiles of one well position on different plates; "
        "`labels`: tiles of one class. The last three use metadata of the study"
    )
    weight: float = Field(1.0, gt=0, description="weight of the term")
    temperature: float = Field(0.1, gt=0, description="temperature of the cosine similarities")
    projection: int = Field(128, ge=2, description="width of the projection that is compared")
    head_batch_norm: bool = Field(
        True,
        description="batch normalisation in the projection; without it a ViT learns little from a few hundred tiles. "
        "Set false if a batch, or a part of it (`training.accumulate`), has only a few tiles",
    )
