"""`config.yaml`: which studies to run, and where data and results are."""

from __future__ import annotations

from pydantic import Field

from .base import Name, PathText, Section


class Config(Section):
    """`config/config.yaml`: which studies to run, and where data and results are."""

    studies: list[Name] = Field(["demo"], min_length=1, description="studies to run: files of `config/studies`")
    data_root: PathText = Field("../shared/data", description="folder that a relative `source.root` starts from")
    results: PathText = Field("results", min_length=1, description="folder of all results")
    scratch: str = Field(
        "",
        description="folder on a node's own disk, such as `$TMPDIR`: shards are written there first, and training "
        "reads copies of the tiles there; the results are the same bytes",
    )
    container: str | None = Field(None, description="image for `--sdm apptainer`; see `docs/cluster.md`")
    gpu_environment: bool = Field(
        True, description="with `--sdm conda`, train and embed in `envs/gpu.yaml`; set false if no GPU is used"
    )
