"""Networks compiled by torch.compile, or computed with less memory; their results stay the same."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from ..core.errors import PhenoloomError
from ..nets.contour_decoders import MatrixDecoder, PointDecoder
from ..nets.cyclic_resnet import CyclicBlock, CyclicResNet
from ..nets.matrix_resnet import MatrixResNet
from ..nets.resnet import BasicBlock, BottleneckBlock, ResNetDecoder, ResNetEncoder
from ..nets.vit import Block

BACKEND = "inductor"
RECOMPUTED = (Block, BasicBlock, BottleneckBlock, CyclicBlock)
"""Blocks that are repeated, and hold most of what the backward pass needs."""
COMPILED = (Block, ResNetEncoder, ResNetDecoder, CyclicResNet, MatrixResNet, PointDecoder, MatrixDecoder)
"""Blocks of a ViT are alike and are compiled once; those of a ResNet are not, so that it is compiled whole."""


def compile_networks(net: nn.Module) -> None:
    """Compile the networks within `net` in place; the names of its weights stay as they are.

    Raises:
        PhenoloomError: There is no compiler for the code that torch writes.
    """
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if BACKEND == "inductor" and shutil.which(compiler) is None:
        raise PhenoloomError(
            f"training.compile needs a C++ compiler, and {compiler!r} is not found; install one, name it in "
            "the variable CXX, or set training.compile to false"
        )
    for module in net.modules():
        if isinstance(module, COMPILED):
            module.compile(backend=BACKEND)


def recompute_blocks(net: nn.Module) -> None:
    """Make blocks keep only their inputs for the backward pass (Chen et al. 2016); results are the same bits."""
    for module in net.modules():
        if isinstance(module, RECOMPUTED):
            module.forward = _recomputing(module)  # type: ignore[method-assign]


def _recomputing(block: nn.Module) -> Callable[..., Any]:
    plain = block.forward

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _same_buffers(block)

    def forward(*inputs: Any) -> Any:
        if not torch.is_grad_enabled():
            return plain(*inputs)
        # Blocks draw nothing: random numbers are made outside and given to them. A compiled graph moves buffers once.
        if torch.compiler.is_compiling():
            return checkpoint(plain, *inputs, use_reentrant=False, preserve_rng_state=False)
        return checkpoint(plain, *inputs, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)

    return forward


@contextmanager
def _same_buffers(block: nn.Module) -> Iterator[None]:
    """Put buffers back after the second pass, which must not move the statistics of batch norms again."""
    before = [buffer.clone() for buffer in block.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(block.buffers(), before, strict=True):
                buffer.copy_(value)
