"""`about.yaml`: authors, licence and citation of models, for packages that are published."""

from __future__ import annotations

from pydantic import Field, model_validator

from .base import Section


class Author(Section):
    """A person who made the models."""

    name: str = Field(min_length=1, description="first and last name")
    affiliation: str | None = Field(None, description="institution")
    orcid: str | None = Field(None, pattern=r"^\d{4}-\d{4}-\d{4}-\d{3}[\dX]$", description="ORCID iD")
    github_user: str | None = Field(None, description="user name on GitHub")


class Citation(Section):
    """A reference to cite."""

    text: str = Field(min_length=1, description="the reference in words")
    doi: str | None = Field(None, pattern=r"^10\.\d+/.+$", description="its DOI, such as `10.1000/182`")
    url: str | None = Field(None, pattern=r"^https?://", description="its address, if it has no DOI")

    @model_validator(mode="after")
    def _can_be_found(self) -> Citation:
        if not (self.doi or self.url):
            raise ValueError("a citation must have a `doi` or a `url`")
        return self


class About(Section):
    """Who made the models, and under which terms they are published."""

    authors: list[Author] = Field(min_length=1, description="people who made the models")
    licence: str = Field(min_length=1, description="licence of the models, by its SPDX name: `MIT`, `CC-BY-4.0`")
    cite: list[Citation] = Field(min_length=1, description="references to cite")
    tags: list[str] = Field(default_factory=list, description="keywords of the package, beside those of phenoloom")
    documentation: str | None = Field(
        None, description="Markdown file that opens the documentation of the package, relative to the configuration"
    )
    cover: str | None = Field(
        None, description="PNG, JPEG, GIF or SVG, square or twice as wide as high; none: a picture of the test input"
    )
