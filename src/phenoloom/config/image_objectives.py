"""What a model of tiles is trained for: one section an objective, and the contrastive term beside it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .study import Fraction, Section

OpenFraction = Annotated[float, Field(gt=0, lt=1)]


class Variational(Section):
    """What variational autoencoders share, of tiles and of contours."""

    beta: float = Field(1.0, ge=0, description="weight of the divergence from the prior; 1: the evidence lower bound")


class Quantised(Section):
    """What vector-quantised autoencoders share, of tiles and of contours: their EMA codebook."""

    codes: int = Field(512, ge=2, description="vectors in the codebook")
    code_dim: int = Field(64, ge=1, description="dimension of a code")
    commitment: float = Field(0.25, ge=0, description="weight of the commitment loss")
    decay: OpenFraction = Field(0.99, description="decay of the codebook's moving average")
    revive_after: int = Field(
        50, ge=1, description="steps without use after which a code is moved to a random encoder output"
    )


class AE(Section):
    """Autoencoder with a vector as its bottleneck."""

    name: Literal["ae"]
    pool: int = Field(4, ge=1, description="the feature map is pooled to this height and width before the bottleneck")


class VAE(Variational):
    """Variational autoencoder (Kingma and Welling 2014); with `beta` other than 1 a beta-VAE (Higgins et al. 2017)."""

    name: Literal["vae"]
    pool: int = Field(4, ge=1, description="the feature map is pooled to this height and width before the bottleneck")


class VQVAE(Quantised):
    """Vector-quantised autoencoder (van den Oord et al. 2017) with an EMA codebook."""

    name: Literal["vqvae"]


class MAE(Section):
    """Masked autoencoder (He et al. 2022); needs a ViT."""

    name: Literal["mae"]
    mask_ratio: OpenFraction = Field(
        0.75, description="share of the patches that the encoder does not see; 0.5 to 0.6 suits small patches"
    )
    normalise_patches: bool = Field(True, description="the target of a patch has mean 0 and variance 1")
    decoder_width: int = Field(512, ge=32, multiple_of=32, description="values of a token in the decoder")
    decoder_depth: int = Field(8, ge=1, description="blocks of the decoder")


class DINO(Section):
    """Self-distillation without labels (Caron et al. 2021), by two global crops and several local ones."""

    name: Literal["dino"]
    prototypes: int = Field(4096, ge=2, description="outputs of the head (65536 in the paper, for millions of images)")
    hidden: int = Field(2048, ge=8, description="hidden values of the head")
    bottleneck: int = Field(256, ge=4, description="values of the head before the prototypes")
    head_batch_norm: bool = Field(
        False,
        description="batch normalisation in the head: keeps the teacher from saying the same of all tiles, as that of "
        "a ResNet on some hundred tiles soon does (`teacher_information` in `metrics.csv`)",
    )
    local_crops: int = Field(8, ge=0, description="local crops a tile")
    local_size: int = Field(96, ge=8, description="height and width of a local crop in px")
    global_scale: tuple[Fraction, Fraction] = Field((0.4, 1.0), description="least and largest area of a global crop")
    local_scale: tuple[Fraction, Fraction] = Field((0.05, 0.4), description="least and largest area of a local crop")
    student_temperature: float = Field(0.1, gt=0, description="temperature of the student")
    teacher_temperature: float = Field(0.07, gt=0, description="temperature of the teacher after its warm-up")
    first_teacher_temperature: float = Field(0.04, gt=0, description="temperature of the teacher at the start")
    temperature_epochs: int = Field(30, ge=0, description="epochs in which the teacher's temperature rises")
    momentum: Fraction = Field(0.996, description="momentum of the teacher at the start; a cosine raises it to 1")
    centre_momentum: Fraction = Field(0.9, description="momentum of the centre of the teacher's outputs")
    frozen_epochs: int = Field(1, ge=0, description="epochs in which the prototypes do not move")
    ibot: float = Field(0.0, ge=0, description="weight of the masked-patch loss (iBOT, Zhou et al. 2022); needs a ViT")
    koleo: float = Field(0.0, ge=0, description="weight of the spreading term (KoLeo, Sablayrolles et al. 2019)")

    @model_validator(mode="after")
    def _scales_are_ranges(self) -> DINO:
        for name, (low, high) in {"global_scale": self.global_scale, "local_scale": self.local_scale}.items():
            if not 0 < low <= high:
                raise ValueError(f"`{name}` must be two areas in (0, 1], the smaller one first, found {[low, high]}")
        return self


ImageObjective = Annotated[AE | VAE | VQVAE | MAE | DINO, Field(discriminator="name")]

Pairs = Literal["views", "channels", "replicates", "wells", "labels"]


class Contrast(Section):
    """A contrastive term (van den Oord et al. 2018, Khosla et al. 2020) added to the objective."""

    pairs: Pairs = Field(
        description="what is pulled together: two augmentations of a tile (`views`), the channels of a tile "
        "(`channels`), tiles of one group in different wells (`replicates`), of one well position on different plates "
        "(`wells`), or of one class (`labels`); the last three use what the study says about its images"
    )
    weight: float = Field(1.0, gt=0, description="weight of the term")
    temperature: float = Field(0.1, gt=0, description="temperature of the similarities")
    projection: int = Field(128, ge=2, description="values of the projection that is compared")
    head_batch_norm: bool = Field(
        True,
        description="batch normalisation in the projection, without which a ViT learns little from some hundred tiles; "
        "false where a batch, or a part of it (`training.accumulate`), has only a few",
    )
