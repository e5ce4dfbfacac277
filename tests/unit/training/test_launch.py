"""Several processes train as one would."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
import torch
from tests.helpers.studies import StudyOnDisk, image_settings, shape_settings
from tests.helpers.training import Killed
from tests.helpers.training import train as train_here
from torch import distributed, nn

from phenoloom.config.hardware import Hardware
from phenoloom.config.image_objectives import AE
from phenoloom.config.model import ImageModel
from phenoloom.config.rule_settings import PretrainSettings
from phenoloom.core.errors import PhenoloomError
from phenoloom.nets import collective
from phenoloom.nets.quantizer import Quantizer
from phenoloom.nets.sync_batchnorm import synchronise_batch_norms
from phenoloom.training import pretrain
from phenoloom.training.launch import environment, process_rank, training_device

TOLERANCE = 2e-4
"""Largest relative difference of a loss: sums of float32 in another order."""

GROWN = 1e-2
"""The same after nine steps of Adam through batch norms; another number of threads alone makes 2e-3."""


def image(objective: dict[str, object], **training: object) -> PretrainSettings:
    """20 rows in batches of 7, 7 and 6: shares of 4 and 3 rows, or of 3, 2 and 2."""
    training = {"batch_size": 7, "precision": "float32", **training}
    # An objective replaces the small VQ-VAE; its values are those of another one.
    if objective["name"] != "vqvae":
        model = image_settings(augment={"flip": False}, training=training)
        settings = model.model.model_copy(update={"objective": AE(**objective)})
        return model.model_copy(update={"model": settings})
    return image_settings(augment={"flip": False}, training=training)


def patches(**training: object) -> PretrainSettings:
    """An autoencoder with a ViT: nothing of it is random, and it has no batch norms."""
    vit = {"encoder": "vit-tiny", "width": 32, "depth": 1, "patch": 8, "input_size": 32, "latent": 16}
    training = {"batch_size": 10, "epochs": 3, "threads": 1, "precision": "float32", **training}
    model = ImageModel(view="tiles", **vit, objective={"name": "ae"}, augment={"flip": False}, training=training)
    return image_settings().model_copy(update={"model": model})


def shape(**training: object) -> PretrainSettings:
    training = {"batch_size": 7, "precision": "float32", **training}
    return shape_settings(objective={"name": "ae", "noise": 0.0}, training=training)


def command(settings: PretrainSettings, study: StudyOnDisk, output: Path, *options: str) -> list[str]:
    stores = study.tiles if settings.model.view == "tiles" else study.shapes
    inputs = ["--index", str(study.index), "--folds", str(study.folds), "--stores", str(stores[0].parent)]
    main = "import sys; from phenoloom.cli.main import main; sys.exit(main())"
    # A file, not -c: the first process starts the others with the same command.
    script = output.parent / "train.py"
    script.write_text(main)
    return [
        *(sys.executable, str(script), "pretrain", "--settings", settings.canonical(), *inputs),
        *("--threads", "1", "--accelerator", "cpu", "--output", str(output), *options),
    ]


def train(settings: PretrainSettings, study: StudyOnDisk, output: Path, *options: str) -> None:
    done = subprocess.run(
        command(settings, study, output, *options), capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-4000:]


def losses(folder: Path) -> pd.DataFrame:
    curve = pd.read_csv(folder / "metrics.csv")
    # Every process looks at its share of the sample, and one writes the figures of all.
    assert {"effective_rank", "embedding_spread"} <= set(curve)
    return curve.filter(regex="loss|reconstruction|commitment")


@pytest.mark.parametrize(
    ("settings", "processes", "tolerance"),
    [
        (image({"name": "ae"}, batch_size=20, epochs=1, warmup_epochs=0), 3, TOLERANCE),
        (image({"name": "ae"}), 2, GROWN),
        (shape(), 2, TOLERANCE),
        # Parts of 3 and 2 rows in each process, with gradients that are accumulated before they are exchanged.
        (patches(accumulate=2, optimizer="lamb", ema=0.9, final_weight_decay=0.2), 2, TOLERANCE),
        # One step: afterwards tokens that lie between two codes choose by rounding.
        (image({"name": "vqvae"}, batch_size=20, epochs=1, warmup_epochs=0), 2, TOLERANCE),
    ],
    ids=["tiles-step-3", "tiles-2", "shapes-2", "parts-2", "codebook-step-2"],
)
def test_several_processes_have_the_loss_curve_of_one_with_the_same_global_batch(
    settings: PretrainSettings, processes: int, tolerance: float, study: StudyOnDisk, tmp_path: Path
) -> None:
    train(settings, study, tmp_path / "one")
    train(settings, study, tmp_path / "several", "--devices", str(processes))
    np.testing.assert_allclose(losses(tmp_path / "several"), losses(tmp_path / "one"), rtol=tolerance)
    one, several = (safetensors.numpy.load_file(tmp_path / name / "model.safetensors") for name in ("one", "several"))
    assert one.keys() == several.keys()
    assert not list((tmp_path / "several").glob("resume"))
    assert len(list((tmp_path / "several" / "tensorboard").rglob("events.*"))) == 1


@pytest.mark.parametrize("devices", ["1", "2"])
def test_a_training_of_two_processes_that_is_killed_goes_on_in_any_number(
    devices: str, study: StudyOnDisk, tmp_path: Path
) -> None:
    settings = shape(epochs=12, patience=12)
    train(settings, study, tmp_path / "quiet")
    output = tmp_path / "killed"
    running = subprocess.Popen(
        command(settings, study, output, "--devices", "2"), stderr=subprocess.DEVNULL, start_new_session=True
    )
    wait_until(lambda: list(output.glob("resume/*/state.pt")))
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert not (output / "model.yaml").exists()
    train(settings, study, output, "--devices", devices)
    np.testing.assert_allclose(losses(output), losses(tmp_path / "quiet"), rtol=TOLERANCE)


@pytest.mark.usefixtures("same_threads")
def test_a_training_that_was_killed_after_its_end_waits_for_every_process_that_srun_starts(
    study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(*_: object) -> None:
        raise Killed

    settings, output = shape(), tmp_path / "model"
    with monkeypatch.context() as patch:
        patch.setattr(pretrain, "save_card", dying)
        with pytest.raises(Killed):
            train_here(settings, study, output)
    started = []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        variables = {**os.environ, "SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS": "2", "SLURM_NODELIST": "127.0.0.1"}
        variables |= {"SLURM_NTASKS_PER_NODE": "2", "SLURM_NODEID": "0"}
        variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    for rank in range(2):
        log = tmp_path / f"{rank}.log"
        ranks = {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}
        with log.open("w") as file:
            arguments = command(settings, study, output, "--devices", "2")
            started.append(subprocess.Popen(arguments, env=variables | ranks, stderr=file))
        # The second one starts only after the first one has read the state.
        wait_until(lambda log=log: "continues at epoch" in log.read_text() or started[-1].poll() is not None)  # type: ignore[misc]
    try:
        ended = [process.wait(120) for process in started]
    finally:
        for process in started:
            process.kill()
    assert ended == [0, 0], [(tmp_path / f"{rank}.log").read_text()[-3000:] for rank in range(2)]
    assert (output / "model.yaml").exists()


def wait_until(ready: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def run_in(processes: int, work: Callable[[int], None], port: int) -> None:
    """Run `work(rank)` in processes that form one group; all must end well."""
    context = multiprocessing.get_context("fork")
    started = [
        context.Process(target=_member, args=(rank, processes, port, work), daemon=True) for rank in range(processes)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
    assert [process.exitcode for process in started] == [0] * processes


def _member(rank: int, processes: int, port: int, work: Callable[[int], None]) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=processes)
    try:
        work(rank)
    finally:
        distributed.destroy_process_group()


def _check_batch_norm(rank: int) -> None:
    torch.manual_seed(0)
    rows, weights = torch.randn(7, 3, 4, 4) * 5 + 100, torch.randn(7, 3, 4, 4)
    whole, shared = nn.Sequential(nn.BatchNorm2d(3)), nn.Sequential(nn.BatchNorm2d(3))
    synchronise_batch_norms(shared)
    assert list(shared.state_dict()) == list(whole.state_dict())
    own = np.array_split(np.arange(7), 2)[rank]
    inputs, share = rows.clone().requires_grad_(), rows[own].clone().requires_grad_()
    expected, found = whole(inputs), shared(share)
    (expected * weights).sum().backward()
    (found * weights[own]).sum().backward()
    torch.testing.assert_close(found, expected[own], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(share.grad, inputs.grad[own], rtol=1e-3, atol=1e-4)
    for name, value in shared.state_dict().items():
        torch.testing.assert_close(value, whole.state_dict()[name], rtol=1e-4, atol=1e-4)


def test_a_synchronised_batch_norm_is_a_batch_norm_over_the_rows_of_all_processes() -> None:
    run_in(2, _check_batch_norm, 29611)


def _check_weights(rank: int) -> None:
    gradients = torch.arange(7.0)
    own = collective.share([np.arange(7)])[0]
    mean = gradients[own].mean() * collective.weight(len(own), 7) / 3
    assert float(collective.sum_in_place(mean)) == pytest.approx(3.0)


def test_the_mean_over_processes_is_that_of_all_rows_whatever_their_shares() -> None:
    run_in(3, _check_weights, 29621)


def _check_codebook(rank: int) -> None:
    tokens = torch.randn(22, 4, generator=torch.Generator().manual_seed(1))
    books = []
    for together in (False, True):
        torch.manual_seed(0)
        quantizer = Quantizer(6, 4, 0.9, 2).train()
        for step in range(5):
            generator = torch.Generator().manual_seed(step if rank == 0 or not together else 1000 + step)
            quantizer(np.array_split(tokens, 2)[rank] if together else tokens, generator) if together else alone(
                quantizer, tokens, generator
            )
        books.append(quantizer.codebook)
    torch.testing.assert_close(books[1], books[0])


def alone(quantizer: Quantizer, tokens: torch.Tensor, generator: torch.Generator) -> None:
    """As one process would, though this one is in a group."""
    active, collective.active = collective.active, lambda: False
    try:
        quantizer(tokens, generator)
    finally:
        collective.active = active


def test_the_codebook_follows_the_tokens_of_all_processes_and_is_the_same_in_each() -> None:
    run_in(2, _check_codebook, 29631)


def test_processes_that_srun_did_not_start_as_asked_are_refused_with_the_command() -> None:
    started = {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}
    with pytest.raises(PhenoloomError, match=r"srun --nodes=2 --ntasks-per-node=4"):
        environment(Hardware(2, 4), started)
    assert process_rank(Hardware(2, 4), {"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8"}) == 5
    assert process_rank(Hardware(1, 4), {**started, "LOCAL_RANK": "3"}) == 3


def test_a_gpu_that_is_demanded_and_missing_is_an_error_and_one_that_is_given_in_vain_a_warning(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(PhenoloomError, match="CUDA_VISIBLE_DEVICES is '0,1'"):
        training_device("gpu", variables={"CUDA_VISIBLE_DEVICES": "0,1"})
    assert training_device("auto", variables={"CUDA_VISIBLE_DEVICES": "0,1"}).type == "cpu"
    assert "was given a GPU" in capsys.readouterr().err
    training_device("auto", variables={})
    assert capsys.readouterr().err == ""
