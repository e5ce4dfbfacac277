from __future__ import annotations

from pathlib import Path

import pytest

from phenoloom.artifacts.inputs import Inputs
from phenoloom.cluster.placement import (
    Site,
    embedding_hardware,
    launcher,
    placement,
    training_options,
    trial_options,
)
from phenoloom.config import RuleSettings, load_study
from phenoloom.config.hardware import Hardware
from phenoloom.config.run import Config
from phenoloom.config.training import Training
from phenoloom.core.errors import PhenoloomError

CONFIG = Path(__file__).parents[3] / "config"
SITE = Site(partition="compute", gpu_partition="fast", gpu_kind="a100")


def asked(hardware: Hardware, site: Site = SITE) -> dict[str, object]:
    return {name: value for name, value in placement(hardware, site)._asdict().items() if value is not None}


def test_gpus_of_one_node_are_asked_for_by_number_and_of_several_by_node() -> None:
    one = asked(Hardware(devices=2))
    assert one == {"slurm_partition": "fast", "gpu": 2, "gpu_model": "a100"}
    several = asked(Hardware(nodes=3, devices=2))
    assert several == {
        **{"slurm_partition": "fast", "gres": "gpu:a100:2", "mpi": "srun"},
        **{"nodes": 3, "tasks": 6, "tasks_per_gpu": 0},
    }


def test_processors_alone_ask_for_no_gpu_and_keep_the_partition() -> None:
    assert asked(Hardware(accelerator="cpu", devices=4)) == {"slurm_partition": "compute"}
    assert asked(Hardware(nodes=2, accelerator="cpu")).keys() == {
        "slurm_partition",
        *("mpi", "nodes", "tasks", "tasks_per_gpu"),
    }


def test_a_site_without_names_gets_numbers_alone() -> None:
    assert asked(Hardware(), Site()) == {"gpu": 1}
    assert asked(Hardware(nodes=2), Site(partition="all"))["gres"] == "gpu:1"
    assert asked(Hardware(nodes=2), Site(partition="all"))["slurm_partition"] == "all"


def test_only_networks_that_do_not_follow_the_contour_embed_on_a_gpu() -> None:
    study = load_study("demo", CONFIG)
    inputs = Inputs(RuleSettings("demo", study, Config(), CONFIG))
    wants = {name: embedding_hardware(inputs, name).wants_gpu for name in study.representations}
    assert wants["vqvae"]
    assert not wants["shape-ae"]
    assert not wants["regionprops"]


def test_several_nodes_are_started_by_srun_which_no_container_has() -> None:
    hardware = Hardware(nodes=2, devices=4, threads=8)
    assert launcher("m", Hardware(devices=4), in_container=True) == "env"
    assert launcher("m", hardware, in_container=False) == (
        "srun --nodes=2 --ntasks-per-node=4 --cpus-per-task=8 --kill-on-bad-exit=1"
    )
    with pytest.raises(PhenoloomError, match=r"model m trains on 2 nodes .*without `--sdm apptainer`"):
        launcher("m", hardware, in_container=True)


def test_options_of_a_training_name_what_no_result_depends_on() -> None:
    training = Training(nodes=2, devices=3, accelerator="gpu", compile=True, gradient_checkpointing=True)
    options = training_options(training, [Path("results/a b/chosen.yaml")])
    assert options.startswith("--nodes 2 --devices 3 --accelerator gpu --compile --gradient-checkpointing ")
    assert options.endswith(" --chosen 'results/a b/chosen.yaml'")
    plain = trial_options(Training())
    assert "--compile" not in plain
    assert plain.startswith("--accelerator auto --collapse-epochs ")
