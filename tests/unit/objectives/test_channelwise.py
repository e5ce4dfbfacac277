from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from phenoloom.config.model import ImageModel
from phenoloom.core.errors import PhenoloomError
from phenoloom.objectives import Objective, Step, build_objective

OBJECTIVES: dict[str, dict[str, Any]] = {
    "ae": {},
    "vae": {},
    "vqvae": {"codes": 8, "code_dim": 8},
    "mae": {"decoder_width": 32, "decoder_depth": 1},
    "dino": {"prototypes": 16, "hidden": 16, "bottleneck": 8, "local_crops": 1, "local_size": 16, "frozen_epochs": 0},
}
NAMES = ["DNA", "actin", "tubulin"]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def built(
    name: str = "ae", channels: dict[str, Any] | None = None, names: list[str] = NAMES, **changes: Any
) -> Objective:
    torch.manual_seed(0)
    values = {
        "view": "tiles",
        "encoder": "vit-tiny",
        "width": 32,
        "depth": 1,
        "patch": 8,
        "input_size": 32,
        "latent": 16,
    }
    model = ImageModel(**{**values, **changes}, objective={"name": name, **OBJECTIVES[name]}, channels=channels or {})
    return build_objective(model, len(names), names)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("mode", ["separate", "replicate"])
def test_channels_are_embedded_one_by_one_and_concatenated_or_averaged(name: str, mode: str) -> None:
    tiles = torch.randn(2, 3, 32, 32)
    both = [built(name, {"mode": mode, "combine": combine, "at_once": 2}).eval() for combine in ("concatenate", "mean")]
    inputs = 1 if mode == "separate" else 3
    with torch.no_grad():
        single = [both[0].base.embed(tiles[:, c : c + 1].expand(-1, inputs, -1, -1)) for c in range(3)]
        assert torch.allclose(both[0].embed(tiles), torch.cat(single, 1), atol=1e-5)
        assert torch.allclose(both[1].embed(tiles), torch.stack(single).mean(0), atol=1e-5)
        assert both[0].embed(tiles).shape == (2, 48)


@pytest.mark.parametrize("mode", ["separate", "replicate"])
def test_channels_are_decoded_one_by_one(mode: str) -> None:
    model, tiles = built("ae", {"mode": mode, "at_once": 2}).eval(), torch.randn(2, 3, 32, 32)
    inputs = 1 if mode == "separate" else 3
    with torch.no_grad():
        decoded = [model.base.reconstruct(tiles[:, c : c + 1].expand(-1, inputs, -1, -1)).mean(1) for c in range(3)]
        assert torch.allclose(model.reconstruct(tiles), torch.stack(decoded, 1), atol=1e-5)


def test_dino_has_no_reconstruction_in_any_mode() -> None:
    tiles = torch.randn(2, 3, 32, 32)
    for channels in ({"mode": "separate"}, {"mode": "map", "map": {"DNA": 0}, "drop": NAMES[1:]}):
        assert built("dino", channels).reconstruct(tiles) is None


@pytest.mark.parametrize("encoder", ["vit-tiny", "resnet18"])
@pytest.mark.parametrize("name", ["ae", "vae", "vqvae", "dino"])
def test_computing_again_in_the_backward_pass_changes_neither_gradients_nor_buffers(name: str, encoder: str) -> None:
    """Beside one-by-one chunks: the same loop over channels, with every activation kept."""
    changes = {"encoder": "resnet18", "width": 8, "depth": None} if encoder == "resnet18" else {}
    OBJECTIVES["dino"]["local_size"] = 32
    model = built(name, {"mode": "separate", "at_once": 1}, **changes).train()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    tiles, place = torch.randn(4, 3, 32, 32), Step(0, 1, 2)
    model.before_step(place)
    model(tiles, generator(3)).loss.backward()
    found = {key: p.grad.clone() for key, p in model.named_parameters() if p.requires_grad}
    buffers = {key: value.clone() for key, value in model.state_dict().items()}
    model.load_state_dict(state)
    model.zero_grad()
    seeds = torch.randint(2**31, (3,), generator=generator(3)).tolist()
    sum(model.base(tiles[:, c : c + 1], generator(seeds[c])).loss / 3 for c in range(3)).backward()
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert torch.allclose(parameter.grad, found[key], rtol=1e-4, atol=1e-6), key
    for key, value in model.state_dict().items():
        assert torch.equal(value, buffers[key]), key


def test_the_loss_of_few_channels_at_once_is_that_of_all_at_once() -> None:
    tiles = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        losses = [built("ae", {"mode": "separate", "at_once": n}).eval()(tiles).loss for n in (1, 2, 3)]
    assert torch.allclose(losses[0], losses[2], rtol=1e-5)
    assert torch.allclose(losses[1], losses[2], rtol=1e-5)


def peak(work: Callable[[], object]) -> int:
    """Most bytes that tensors held at a time while `work` ran, beyond what they held before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    changes = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes.sort(key=lambda event: event.start_ns())
    return max(accumulate(event.nbytes() for event in changes))


def test_memory_hardly_grows_with_the_number_of_channels() -> None:
    peaks = {}
    for channels in (4, 16):
        names = [f"channel {i}" for i in range(channels)]
        model = built(
            "ae", {"mode": "separate", "at_once": 4}, names, encoder="resnet18", width=16, depth=None, input_size=64
        )
        model(torch.randn(2, channels, 64, 64)).loss.backward()  # gradients are there from the first step on
        inputs = torch.randn(16, channels, 64, 64)
        training = peak(lambda model=model, inputs=inputs: model(inputs).loss.backward())
        with torch.no_grad():
            model.eval()
            embedding = peak(lambda model=model, inputs=inputs: model.embed(inputs))
        peaks[channels] = (training + inputs.nbytes, embedding + inputs.nbytes)
    assert peaks[4][0] > 50 * 16 * 4 * 64 * 64 * 4  # activations are most of it
    assert peaks[16][0] < 1.2 * peaks[4][0]
    # An embedding keeps no activations, and so the tiles themselves weigh more.
    assert peaks[16][1] - peaks[4][1] < 1.5 * 16 * 12 * 64 * 64 * 4


def test_channels_are_put_in_their_places_by_name() -> None:
    tiles = torch.randn(2, 3, 32, 32)
    base = {"mode": "map", "inputs": 4, "map": {"tubulin": 1, "DNA": 3}, "drop": ["actin"]}
    zero = torch.zeros(2, 32, 32)
    blanks = {"zero": zero, "mean": (tiles[:, 2] + tiles[:, 0]) / 2, "repeat:DNA": tiles[:, 0]}
    for fill, blank in blanks.items():
        model = built("ae", {**base, "fill": fill}).eval()
        expected = torch.stack([blank, tiles[:, 2], blank, tiles[:, 0]], 1)
        with torch.no_grad():
            assert torch.equal(model.embed(tiles), model.base.embed(expected))
            assert torch.equal(model(tiles).loss, model.base(expected).loss)
            decoded, shown = model.base.reconstruct(expected), model.reconstruct(tiles)
            assert torch.equal(shown, torch.stack([decoded[:, 3], zero, decoded[:, 1]], 1))
    # Another order of the study's channels is the same study.
    names = ["actin", "tubulin", "DNA"]
    other = built("ae", base, names=names).eval()
    first = built("ae", base).eval()
    with torch.no_grad():
        assert torch.equal(other.embed(tiles[:, [1, 2, 0]]), first.embed(tiles))


def test_channels_without_a_place_and_unknown_ones_are_refused() -> None:
    with pytest.raises(PhenoloomError, match="unknown: none, neither mapped nor dropped: actin, tubulin"):
        built("ae", {"mode": "map", "map": {"DNA": 0}})
    with pytest.raises(PhenoloomError, match="unknown: ER, neither mapped nor dropped: none"):
        built("ae", {"mode": "map", "map": {"DNA": 0, "ER": 1}, "drop": ["actin", "tubulin"]})


@pytest.mark.parametrize(
    ("channels", "sentence"),
    [
        ({"mode": "map"}, "needs `map`"),
        ({"mode": "joint", "map": {"DNA": 0}}, "`mode: map` needs `map`"),
        ({"mode": "map", "map": {"DNA": 0, "actin": 0}}, "its own input below `inputs` \\(3\\), found \\[0, 0\\]"),
        ({"mode": "map", "map": {"DNA": 3}}, "found \\[3\\]"),
        ({"mode": "map", "map": {"DNA": 0}, "drop": ["DNA"]}, "both name DNA"),
        ({"mode": "map", "map": {"DNA": 0}, "fill": "repeat:ER"}, "repeats 'ER'"),
        ({"mode": "map", "map": {"DNA": 0}, "fill": "one"}, "pattern"),
    ],
)
def test_a_map_that_cannot_be_meant_is_refused(channels: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        built("ae", channels)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"encoder": "resnet18", "objective": {"name": "mae"}}, "masked patches need a ViT"),
        ({"encoder": "resnet18", "objective": {"name": "dino", "ibot": 1.0}}, "masked patches need a ViT"),
        ({"encoder": "resnet18", "drop_path": 0.1}, "`drop_path` belong to a ViT"),
        ({"encoder": "vit-tiny", "input_size": 40}, "multiple of 16 px \\(the ViT's `patch`\\), found 40"),
        ({"input_size": 40}, "`input_size` must be a multiple of 32 px"),
        ({"encoder": "vit-tiny", "objective": {"name": "dino", "local_size": 40}}, "`objective.local_size`"),
        ({"encoder": "vit-tiny", "width": 40}, "multiple of 32, found 40"),
        ({"contrast": {"pairs": "channels"}}, "needs `channels.mode: separate`"),
        ({"objective": {"name": "dino", "local_scale": [0.5, 0.2]}}, "smaller first"),
    ],
)
def test_parts_of_a_model_that_do_not_fit_are_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ImageModel(**{"view": "tiles", "objective": {"name": "ae"}, **changes})
