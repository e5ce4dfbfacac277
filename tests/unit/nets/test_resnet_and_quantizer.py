from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from phenoloom.nets.quantizer import Quantizer, perplexity
from phenoloom.nets.resnet import BasicBlock, BottleneckBlock, ResNetDecoder, ResNetEncoder


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_nothing_here_needs_torchvision_timm_or_lightly() -> None:
    code = (
        "import sys\n"
        "for name in ('torchvision', 'timm', 'lightly'): sys.modules[name] = None\n"
        "import phenoloom.training.pretrain, phenoloom.embedding.inference, phenoloom.objectives\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_the_encoder_is_resnet18_for_any_number_of_channels(channels: int) -> None:
    net = ResNetEncoder(channels, 64)
    assert net(torch.randn(2, channels, 64, 96)).shape == (2, 512, 2, 3)
    # 11 689 512 parameters in the paper's network, less its 3-channel stem and its classifier.
    expected = 11_689_512 - 3 * 64 * 49 - (512 * 1000 + 1000) + channels * 64 * 49
    assert sum(p.numel() for p in net.parameters()) == expected
    assert sum(isinstance(m, BasicBlock) for m in net.modules()) == 8


def test_the_decoder_gives_back_the_size_of_the_image() -> None:
    assert ResNetDecoder(12, 5, 8)(torch.randn(2, 12, 2, 3)).shape == (2, 5, 64, 96)


@pytest.mark.parametrize(
    ("depth", "parameters", "features"),
    # Of the published networks of table 1 in the paper, with their classifiers of 1000 classes.
    [(34, 21_797_672, 512), (50, 25_557_032, 2048), (101, 44_549_160, 2048), (152, 60_192_808, 2048)],
)
def test_deeper_encoders_are_those_of_the_paper(depth: int, parameters: int, features: int) -> None:
    with torch.device("meta"):
        net = ResNetEncoder(3, 64, depth)
        assert net(torch.empty(1, 3, 64, 96)).shape == (1, features, 2, 3)
    assert net.features == features
    assert sum(p.numel() for p in net.parameters()) == parameters - 1000 * (features + 1)


@pytest.mark.parametrize("depth", [34, 50, 101, 152])
def test_every_encoder_has_a_decoder_with_as_many_blocks(depth: int) -> None:
    with torch.device("meta"):
        encoder, decoder = ResNetEncoder(5, 8, depth), ResNetDecoder(12, 5, 8, depth)
        assert decoder(torch.empty(2, 12, 2, 3)).shape == (2, 5, 64, 96)
    kind = BasicBlock if depth == 34 else BottleneckBlock
    blocks = [sum(isinstance(m, kind) for m in net.modules()) for net in (encoder, decoder)]
    # The decoder's first convolution stands for a block.
    assert blocks[1] == blocks[0] - 1


@pytest.mark.parametrize("stride", [1, 2])
def test_a_bottleneck_strides_in_its_middle_convolution_and_adds_its_input(stride: int) -> None:
    block, x = BottleneckBlock(8, 2, stride).eval(), torch.randn(1, 8, 6, 6)
    assert (block.conv1.stride, block.conv2.stride) == ((1, 1), (stride, stride))
    torch.nn.init.zeros_(block.norm3.weight)
    expected = x if stride == 1 else block.shortcut(x)
    assert torch.equal(block(x), expected.relu())


def test_an_evaluated_encoder_keeps_absolute_intensity() -> None:
    net = ResNetEncoder(1, 8).eval()
    image = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        assert torch.allclose(net(3 * image), 3 * net(image), rtol=1e-3, atol=1e-5)


def test_each_token_becomes_its_nearest_code() -> None:
    quantizer = Quantizer(codes=9, dim=4, decay=0.9, revive_after=5).eval()
    tokens = torch.randn(50, 4)
    result = quantizer(tokens)
    distances = (tokens[:, None] - quantizer.codebook).square().sum(-1)
    assert torch.allclose(result.values, quantizer.codebook[distances.argmin(1)], atol=1e-6)
    assert torch.allclose(result.commitment, distances.min(1).values.mean() / 4)
    assert torch.equal(result.counts, torch.bincount(distances.argmin(1), minlength=9).float())


def test_gradients_pass_straight_through_and_the_codebook_has_none() -> None:
    quantizer = Quantizer(codes=4, dim=3, decay=0.9, revive_after=5)
    tokens = torch.randn(6, 3, requires_grad=True)
    weights = torch.randn(6, 3)
    (quantizer(tokens, generator()).values * weights).sum().backward()
    assert torch.equal(tokens.grad, weights)
    assert list(quantizer.parameters()) == []


def test_the_codebook_follows_the_moving_average_of_its_tokens() -> None:
    quantizer = Quantizer(codes=2, dim=1, decay=0.9, revive_after=100)
    quantizer.idle.zero_()
    quantizer.codebook.copy_(torch.tensor([[0.0], [10.0]]))
    quantizer.sums.copy_(quantizer.codebook)
    quantizer(torch.tensor([[1.0], [3.0], [9.0]]), generator())
    # sizes 1 -> .9 + .1 n, sums c -> .9 c + .1 sum of tokens
    assert torch.allclose(quantizer.codebook, torch.tensor([[0.4 / 1.1], [9.9 / 1.0]]))


def test_a_code_that_is_idle_for_long_stays_where_it_was() -> None:
    quantizer = Quantizer(codes=2, dim=1, decay=0.5, revive_after=1000)
    quantizer.idle.zero_()
    quantizer.codebook.copy_(torch.tensor([[0.0], [10.0]]))
    quantizer.sums.copy_(quantizer.codebook)
    for step in range(200):
        quantizer(torch.tensor([[1.0], [-1.0]]), generator(step))
    assert quantizer.codebook[1].item() == pytest.approx(10.0, rel=1e-5)


def test_evaluation_moves_nothing() -> None:
    quantizer = Quantizer(codes=4, dim=2, decay=0.5, revive_after=1).eval()
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    quantizer(torch.randn(10, 2), generator())
    assert all(torch.equal(before[name], value) for name, value in quantizer.state_dict().items())


def test_the_first_batch_places_every_code() -> None:
    quantizer = Quantizer(codes=8, dim=2, decay=0.99, revive_after=5)
    tokens = torch.randn(64, 2) * 0.1 + 50
    counts = quantizer(tokens, generator()).counts
    assert (quantizer.codebook - 50).abs().max() < 1
    assert (counts > 0).sum() >= 6


def test_a_dead_code_comes_back_to_life_after_the_stated_number_of_steps() -> None:
    quantizer = Quantizer(codes=2, dim=1, decay=0.9, revive_after=3)
    quantizer.idle.zero_()
    quantizer.codebook.copy_(torch.tensor([[0.0], [1000.0]]))
    quantizer.sums.copy_(quantizer.codebook)
    used = [quantizer(torch.randn(32, 1), generator(step)).counts[1].item() for step in range(5)]
    assert used[:3] == [0, 0, 0]
    assert sum(used[3:]) > 0


@pytest.mark.parametrize(("counts", "expected"), [([5, 0, 0], 1.0), ([2, 2, 2, 2], 4.0), ([1, 1, 0], 2.0)])
def test_perplexity_is_the_effective_number_of_codes(counts: list[int], expected: float) -> None:
    assert perplexity(torch.tensor(counts)) == pytest.approx(expected)
