from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from phenoloom.nets.bottleneck import Spread, Squeeze, pooling_matrix


@pytest.mark.parametrize("size", [2, 7, 8])
@pytest.mark.parametrize("pool", [1, 2, 4])
def test_pooling_is_torchs_adaptive_average_pooling(size: int, pool: int) -> None:
    if pool > size:
        return
    maps, matrix = torch.randn(2, 3, size, size), pooling_matrix(size, pool)
    assert torch.allclose(
        torch.einsum("py,qx,bfyx->bfpq", matrix, matrix, maps), F.adaptive_avg_pool2d(maps, pool), atol=1e-6
    )


@pytest.mark.parametrize(("size", "pool"), [(7, 4), (2, 4), (8, 1)])
def test_a_map_of_any_size_goes_through_a_vector_of_any_size(size: int, pool: int) -> None:
    vectors = Squeeze(6, size, pool, 11)(torch.randn(2, 6, size, size))
    assert vectors.shape == (2, 11)
    maps = Spread(11, 6, size, pool)(vectors)
    assert maps.shape == (2, 6, size, size)
    assert (maps[..., 0, 0] == maps[..., (size // min(pool, size) - 1) // 2, 0]).all()
