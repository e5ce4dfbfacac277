"""How the images of a sheet are read: all pages of each file as channels, or those that a finished model needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config.planes import Planes
from ..core.errors import ImageError
from .formats import read_image
from .projection import Where, read_projected

ONE_PLANE = Where()


@dataclass(frozen=True)
class Reading:
    """How images that are not a study's own differ: `pages` are those of each file that are the channels, in their
    order, of `of_pages`; `dtype` is the type of pixels that they must have. None: all pages, and that of the first one.
    """

    pages: tuple[int, ...] | None = None
    of_pages: int = 0
    dtype: str | None = None

    def read(
        self, files: Sequence[Path], channels: int, planes: Planes | None = None, where: Where = ONE_PLANE
    ) -> NDArray[Any]:
        """One image (c, h, w); raises ImageError like `read_image`, and for another type of pixels.

        With a policy of `planes`, files may be stacks, and `where` says which files and planes the image is made of.
        """
        count = channels if self.pages is None else self.of_pages
        image = read_image(files, count) if planes is None else read_projected(files, count, planes, where)
        if self.dtype and image.dtype.name != self.dtype:
            raise ImageError(
                f"expected pixels of type {self.dtype} like those that the model was trained on, "
                f"found {image.dtype.name} in {files[0].name}; a conversion must keep the camera's unit"
            )
        return image if self.pages is None else np.ascontiguousarray(image[list(self.pages)])


AS_THE_STUDY = Reading()
