from __future__ import annotations

import pytest
import torch
from torch import nn

from phenoloom.nets.quantizer import Quantizer
from phenoloom.training.ema import WeightAverage


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 3).requires_grad_(False))


def test_the_average_is_the_recursion_with_a_decay_that_grows_to_its_value() -> None:
    network, decay = net(), 0.3
    average = WeightAverage(network, decay)
    expected = network[0].weight.detach().clone()
    for update in range(8):
        with torch.no_grad():
            network[0].weight.add_(update + 1.0)
        average.follow(update)
        used = min(decay, (1 + update) / (10 + update))
        expected = used * expected + (1 - used) * network[0].weight.detach()
    with average.in_place():
        torch.testing.assert_close(network[0].weight.detach(), expected)


def test_statistics_of_batch_norms_are_averaged_and_other_buffers_are_those_of_the_network() -> None:
    network = nn.Sequential(nn.BatchNorm1d(3), Quantizer(4, 3, 0.9, 5))
    average = WeightAverage(network, 0.5)
    network.train()
    network[0](torch.full((4, 3), 8.0) + torch.eye(4, 3))
    network[1].codebook.add_(3.0)
    network[1].idle.add_(7)
    mean, codes = network[0].running_mean.clone(), network[1].codebook.clone()
    average.follow(0)
    with average.in_place():
        # From 0, with the decay of the first step, 0.1.
        torch.testing.assert_close(network[0].running_mean, 0.9 * mean)
        assert torch.equal(network[1].codebook, codes)
        assert int(network[0].num_batches_tracked) == 1
    assert torch.equal(network[0].running_mean, mean)


def test_the_network_gets_its_own_weights_back_even_after_an_error() -> None:
    network = net()
    average = WeightAverage(network, 0.9)
    with torch.no_grad():
        network[0].weight.mul_(2.0)
    own = {name: value.clone() for name, value in network.state_dict().items()}

    def fail() -> None:
        with average.in_place():
            assert not torch.equal(network[0].weight, own["0.weight"])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert all(torch.equal(own[name], value) for name, value in network.state_dict().items())


def test_averages_of_a_validation_in_inference_mode_can_still_be_moved() -> None:
    network = net()
    average = WeightAverage(network, 0.9)
    with torch.inference_mode(), average.in_place():
        network.eval()(torch.ones(2, 3))
    average.follow(3)
    network.train()(torch.ones(2, 3)).sum().backward()


def test_the_state_of_an_average_comes_back() -> None:
    network = net()
    first, second = WeightAverage(network, 0.9), WeightAverage(network, 0.9)
    with torch.no_grad():
        network[0].weight.add_(1.0)
    first.follow(0)
    second.load_state([value.clone() for value in first.state()])
    assert all(torch.equal(a, b) for a, b in zip(first.state(), second.state(), strict=True))
