"""Computations that stay in float32 while the networks around them run in bfloat16.

Autocast lowers every product of matrices to bfloat16. Sampling grids and losses must stay float32: with the 8
significant bits of bfloat16 a coordinate in a tile of 224 px is wrong by almost a pixel.
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
    """Decorate a function to run without autocast; its first argument is cast from bfloat16 to float32."""

    @functools.wraps(function)
    def uncast(first: Tensor, /, *rest: Any, **named: Any) -> Result:
        with torch.autocast(first.device.type, enabled=False):
            return function(first.float() if first.dtype == torch.bfloat16 else first, *rest, **named)

    return uncast
