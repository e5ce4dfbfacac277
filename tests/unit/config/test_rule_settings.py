"""Canonical settings: one text for equal settings, and nothing that a rule does not depend on."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.configuration import STUDY, changed, load

from phenoloom.config import Config, RuleSettings
from phenoloom.config.representation import Mixture
from phenoloom.config.rule_settings import ALGORITHM, IndexSettings, PretrainSettings
from phenoloom.core.errors import PhenoloomError


def test_settings_survive_their_canonical_text(config_dir: Path) -> None:
    rules = RuleSettings("mine", load(config_dir, STUDY), Config(), config_dir)
    settings = rules.pretrain("vqvae", "fold-0")
    assert PretrainSettings.parse(settings.canonical()) == settings
    assert len(settings.digest()) == 64


def test_an_algorithm_that_is_raised_changes_the_digest() -> None:
    one, two = (IndexSettings(study="mine", algorithm=algorithm) for algorithm in (1, 2))
    assert one.canonical() == '{"algorithm":1,"shapes":false,"study":"mine"}'
    assert one.digest() != two.digest()


def test_settings_that_no_command_could_be_given_are_refused(config_dir: Path) -> None:
    many = {f"compound {number}": f"class {number}" for number in range(5000)}
    settings = RuleSettings("mine", load(config_dir, changed("source", "classes", value=many)), Config(), config_dir)
    with pytest.raises(PhenoloomError, match=r"study mine take 1\d\d,\d{3} bytes.*`source.classes`"):
        settings.sheet().canonical()


def test_a_model_is_trained_on_its_study_unless_a_mixture_leaves_it_out(config_dir: Path) -> None:
    settings = RuleSettings("mine", load(config_dir, STUDY), Config(), config_dir).pretrain("vqvae", "fold-0")
    assert settings.trained_here
    for studies, here in ((["mine", "other"], True), (["other"], False)):
        mixture = Mixture(studies=studies, shared_groups="drop")
        assert settings.model_copy(update={"mixture": mixture}).trained_here is here


def test_every_rule_of_the_workflow_that_has_settings_has_an_algorithm(repository: Path) -> None:
    rules = (repository / "workflow" / "rules").glob("*.smk")
    names = {
        line.removeprefix("rule ").rstrip(":")
        for path in rules
        for line in path.read_text().splitlines()
        if line.startswith("rule ")
    }
    # An encoder of another study embeds as any other.
    assert names - {"transfer_embed"} == set(ALGORITHM)
