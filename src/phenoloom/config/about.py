"""Who made the models, and under which terms: for packages that are passed on."""

from __future__ import annotations

from pydantic import Field, model_validator

from .study import Section


class Author(Section):
    """A person who made the models."""

    name: str = Field(min_length=1, description="first and last name")
    affiliation: str | None = Field(None, description="where they work")
    orcid: str | None = Field(None, pattern=r"^\d{4}-\d{4}-\d{4}-\d{3}[\dX]$", description="ORCID iD")
    github_user: str | None = Field(None, description="name on GitHub")


class Citation(Section):
    """What to cite."""

    text: str = Field(min_length=1, description="the reference in words")
    doi: str | None = Field(None, pattern=r"^10\.\d+/.+$", description="its DOI, such as `10.1000/182`")
    url: str | None = Field(None, pattern=r"^https?://", description="its address, where it has no DOI")

    @model_validator(mode="after")
    def _can_be_found(self) -> Citation:
        if not (self.doi or self.url):
            raise ValueError("a citation must have a `doi` or a `url`")
        return self


class About(Section):
    """What a package of a model says about those who made it."""

    authors: list[Author] = Field(min_length=1, description="who made the models")
    licence: str = Field(min_length=1, description="licence of the models, as SPDX names it: `MIT`, `CC-BY-4.0`")
    cite: list[Citation] = Field(min_length=1, description="what to cite")
    tags: list[str] = Field(default_factory=list, description="words by which a package is found, beside phenoloom's")
    documentation: str | None = Field(
        None, description="Markdown file whose text begins the package's documentation, relative to the configuration"
    )
    cover: str | None = Field(
        None, description="PNG, JPEG, GIF or SVG twice as wide as high, or square; none: a picture of the test input"
    )
