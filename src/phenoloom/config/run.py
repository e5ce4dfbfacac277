"""`config/config.yaml`: which studies to run, and where."""

from __future__ import annotations

from pydantic import Field

from .base import Name, PathText, Section


class Config(Section):
    """`config/config.yaml`: which studies to run, and where."""

    studies: list[Name] = Field(["demo"], min_length=1, description="studies to run: files of `config/studies`")
    data_root: PathText = Field("../shared/data", description="folder that relative `source.root` paths start from")
    results: PathText = Field("results", min_length=1, description="folder of all results")
    scratch: str = Field(
        "",
        description="folder on a node's own disk, e.g. `$TMPDIR`: shards are written there first, and training reads "
        "copies of the tiles from there; results are the same bytes",
    )
    container: str | None = Field(None, description="image for `--sdm apptainer`; see `docs/cluster.md`")
    gpu_environment: bool = Field(
        True, description="`--sdm conda`: train and embed in `envs/gpu.yaml`; false where no GPU is used"
    )
