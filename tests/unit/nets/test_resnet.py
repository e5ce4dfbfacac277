from __future__ import annotations

import pytest
import torch

from phenoloom.nets.resnet import BasicBlock, BottleneckBlock, ResNetDecoder, ResNetEncoder


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
    # The decoder's first convolution takes the place of a block.
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
