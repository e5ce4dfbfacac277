"""What is computed in single precision although the networks around it are computed in bfloat16.

Automatic casts take every product of matrices for one of a network. Places of pixels and the products in losses are
none: in the 8 significant bits of bfloat16 a map into a tile of 224 px is wrong by almost a pixel.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor

Rest = ParamSpec("Rest")
Result = TypeVar("Result")


def in_float32(function: Callable[Concatenate[Tensor, Rest], Result]) -> Callable[Concatenate[Tensor, Rest], Result]:
    """`function` without automatic casts; a first tensor of half precision becomes float32."""

    @functools.wraps(function)
    def uncast(first: Tensor, /, *rest: Any, **named: Any) -> Result:
        with torch.autocast(first.device.type, enabled=False):
            return function(first.float() if first.dtype == torch.bfloat16 else first, *rest, **named)

    return uncast
