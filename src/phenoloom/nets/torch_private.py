"""The private names of torch that the package uses, each with its reason: what to look at when torch is upgraded."""

from __future__ import annotations

import torch
from torch.nn.modules.batchnorm import _BatchNorm

# The common base class of all batch norms, by which they are found whatever their dimension; no public one exists.
BatchNorm = _BatchNorm

# One kernel for all tensors of a list, as in torch's own optimisers; the public functions take one tensor each.
foreach_add_ = torch._foreach_add_
foreach_addcmul_ = torch._foreach_addcmul_
foreach_lerp_ = torch._foreach_lerp_
foreach_mul_ = torch._foreach_mul_
foreach_norm = torch._foreach_norm
foreach_reciprocal_ = torch._foreach_reciprocal_
foreach_sqrt = torch._foreach_sqrt


def cpu_has_bfloat16() -> bool:
    """Return whether the processor multiplies matrices of bfloat16 natively: torch asks this only internally."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
