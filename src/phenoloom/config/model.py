"""A model file: architecture, objective, augmentations and training of an encoder."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .base import Fraction, Section
from .channels import Channels
from .image_objectives import Contrast, ImageObjective
from .search import Tune
from .shape_objectives import ShapeAugment, ShapeObjective
from .training import Training
from .variants import Variants

TUNE = (
    "search for settings in the train groups of each split before training there; takes up to `trials` more trainings"
)
VARIANTS = (
    "values of keys (`patch: [2, 4]`, `objective.mask_ratio: [0.5, 0.75]`); each combination is a model of its own, "
    "named like `mae-vit-small.patch-2.mask_ratio-0.5`, and a representation of the model, or one that concatenates "
    "it, becomes one representation for each combination"
)


class Augment(Section):
    """Augmentations of tiles, in batches on the device. At their defaults all are off, except `flip`."""

    flip: bool = Field(True, description="flips and rotations by right angles")
    rotate: bool = Field(False, description="rotations by any angle; pixels outside the tile are mirrored")
    crop: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0,
        description="smallest area of a random crop, as a share of the tile, that is resized to the tile; 1: off. "
        "Changes apparent size",
    )
    crop_tries: int = Field(
        1,
        ge=1,
        le=64,
        description="random positions to choose a crop from, also for DINO's crops; the probability of each is in "
        "proportion to the deviation of its pixels from the tile's median. 1: any position, for tiles full of cells",
    )
    elastic: Annotated[float, Field(ge=0, le=0.2)] = Field(
        0.0, description="sd of a smooth random displacement, as a share of the tile's width"
    )
    gain: float = Field(
        0.0, ge=0, description="sd of a random gain of each channel; keep 0 if intensity is the phenotype"
    )
    offset: float = Field(0.0, ge=0, description="sd of a random offset of each channel, in sd of the channel")
    blur: float = Field(0.0, ge=0, description="maximum sigma of a Gaussian blur in px; each tile draws its own")
    noise: float = Field(0.0, ge=0, description="sd of added Gaussian noise, in sd of the channel")
    drop_channel: Fraction = Field(
        0.0, description="probability that a channel is set to its mean; at least one channel is kept"
    )


Encoder = Literal[
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "vit-tiny", "vit-small", "vit-base", "vit-large", "vit-huge",
]  # fmt: skip


class ImageModel(Section):
    """A model of tiles."""

    view: Literal["tiles"] = Field(description="the input of the model")
    encoder: Encoder = Field("resnet18", description="architecture of the encoder; the decoder mirrors it")
    width: int | None = Field(
        None,
        ge=4,
        description="channels of a ResNet's first stage, or width of a ViT's tokens; none: as in the paper (64 for a "
        "ResNet)",
    )
    depth: int | None = Field(None, ge=1, description="number of blocks of a ViT; none: as in the paper")
    patch: int = Field(16, ge=2, le=32, description="height and width of a ViT's patch in px")
    registers: int = Field(0, ge=0, description="register tokens of a ViT (Darcet et al. 2024)")
    drop_path: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="maximum rate of stochastic depth in a ViT (Huang et al. 2016)"
    )
    input_size: int = Field(224, ge=8, description="height and width in px that tiles are resized to")
    latent: int = Field(
        512, ge=2, description="size of the embedding; of each channel's embedding, if these are concatenated"
    )
    channels: Channels = Field(
        default_factory=Channels, description="assignment of channels to the inputs of the network"
    )
    objective: ImageObjective = Field(description="training objective")
    contrast: Contrast | None = Field(
        None, description="contrastive term that is added to the objective; none: no such term"
    )
    augment: Augment = Field(default_factory=Augment, description="augmentations")
    training: Training = Field(default_factory=Training, description="training")
    tune: Tune | None = Field(None, exclude=True, description=TUNE)
    variants: Variants | None = Field(None, exclude=True, description=VARIANTS)

    @property
    def is_vit(self) -> bool:
        """Whether the encoder is a vision transformer."""
        return self.encoder.startswith("vit")

    @property
    def supervision(self) -> str:
        """Metadata that training uses: `none`, or the positive pairs of the contrastive term."""
        return self.contrast.pairs if self.contrast and self.contrast.pairs not in {"views", "channels"} else "none"

    @model_validator(mode="after")
    def _sizes_fit(self) -> ImageModel:
        objective, unit = self.objective, self.patch if self.is_vit else 32
        sizes = {"input_size": self.input_size}
        if objective.name == "dino":
            sizes["objective.local_size"] = objective.local_size
        for key, size in sizes.items():
            if size % unit:
                word = "the ViT's `patch`" if self.is_vit else "a ResNet's reduction"
                raise ValueError(f"`{key}` must be a multiple of {unit} px ({word}), found {size}")
        if self.is_vit and (self.width or 32) % 32:
            raise ValueError(f"`width` of a ViT must be a multiple of 32, found {self.width}")
        if objective.name == "vqvae" and self.latent % objective.code_dim:
            raise ValueError(
                f"`latent` must be a multiple of `objective.code_dim`, found {self.latent} and {objective.code_dim}"
            )
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> ImageModel:
        objective = self.objective
        needs_vit = objective.name == "mae" or (objective.name == "dino" and objective.ibot > 0)
        if needs_vit and not self.is_vit:
            raise ValueError(f"masked patches need a ViT, such as `encoder: vit-small`, found {self.encoder}")
        if not self.is_vit and (self.depth or self.registers or self.drop_path):
            raise ValueError(f"`depth`, `registers` and `drop_path` belong to a ViT, and the encoder is {self.encoder}")
        if objective.name == "dino" and self.training.ema:
            raise ValueError("`training.ema` averages weights, which DINO's teacher does already; remove it")
        if self.contrast and self.contrast.pairs == "channels" and self.channels.mode not in {"separate", "replicate"}:
            raise ValueError("`contrast.pairs: channels` needs `channels.mode: separate` or `replicate`")
        return self


class ShapeModel(Section):
    """A model of contours, by their distance matrices."""

    view: Literal["shapes"] = Field(description="the input of the model")
    encoder: Literal["cyclic-resnet", "resnet18", "resnet50"] = Field(
        "cyclic-resnet",
        description="architecture of the encoder. `cyclic-resnet`: circular convolutions over the cyclic form of the "
        "matrix, pooled over start points, so exactly invariant; `resnet18`, `resnet50`: the matrix as an image, as in "
        "ShapeEmbed, for comparison",
    )
    width: int = Field(32, ge=4, description="channels of the first stage")
    reflection: bool = Field(True, description="give mirror images the same vector")
    latent: int = Field(64, ge=2, description="size of the embedding")
    objective: ShapeObjective = Field(description="training objective")
    augment: ShapeAugment = Field(default_factory=ShapeAugment, description="augmentations")
    training: Training = Field(default_factory=Training, description="training")
    tune: Tune | None = Field(None, exclude=True, description=TUNE)
    variants: Variants | None = Field(None, exclude=True, description=VARIANTS)

    @model_validator(mode="after")
    def _parts_fit(self) -> ShapeModel:
        objective = self.objective
        if self.training.foreground_exponent:
            raise ValueError(
                "`training.foreground_exponent` is for models of tiles, and this model takes contours; remove it"
            )
        if objective.name == "vqvae" and self.latent % objective.code_dim:
            raise ValueError(
                f"`latent` must be a multiple of `objective.code_dim`, found {self.latent} and {objective.code_dim}"
            )
        if objective.name == "contrast":
            if not self.augment.any:
                raise ValueError(
                    "`objective.name: contrast` compares augmented contours, so `augment` must switch an augmentation "
                    "on"
                )
        elif objective.decoder == "points" and any(objective.penalties.model_dump().values()):
            raise ValueError(
                "`objective.penalties` belong to `decoder: matrix`; distances between decoded points are always valid"
            )
        return self


Model = Annotated[ImageModel | ShapeModel, Field(discriminator="view")]
