"""Check studies, their models and their raw data without running anything."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..artifacts.layout import StudyFolder
from ..artifacts.manifest import read_manifest
from ..artifacts.provenance import Provenance
from ..config import RuleSettings, check_mixtures, check_transfers, load_study
from ..config.load import Lazy
from ..config.rule_settings import SheetSettings
from ..config.run import Config
from ..config.study import Study
from ..core.errors import PhenoloomError
from ..study.sheet import make_sheet
from .files import files, table
from .folds import folds, labels
from .images import images
from .objects import objects
from .outlines import outlines
from .subject import Finding, Subject, counted

CHECKS: tuple[Callable[[Subject], Finding], ...] = (files, table, objects, images, outlines, labels, folds)
"""What is looked at, in the order of the page. A check reads little: all together take seconds a study."""


def check(studies: Sequence[str], config: Config, config_dir: Path) -> None:
    """Validate studies and print what would happen to them; raises PhenoloomError after printing all.

    Files are listed, tables joined, a few images read, and the rows split, in a temporary folder.

    Args:
        studies: Names; if empty, all files of `config_dir/studies`.
        config: Configuration of the run.
        config_dir: Folder of the configuration.
    """
    known = sorted(path.stem for path in (config_dir / "studies").glob("*.yaml"))
    all_studies = Lazy(known, lambda name: load_study(name, config_dir))
    names = list(studies) or known
    failed = []
    for name in names:
        headline, findings = _checked(name, all_studies, config, config_dir)
        problems = [problem for finding in findings for problem in finding.problems]
        print(f"{name}: {counted(len(problems), 'problem') if problems else headline}")
        print("".join(f"{line}\n" for finding in findings for line in _page(finding)), end="", flush=True)
        if problems:
            failed.append(name)
    if failed:
        raise PhenoloomError(f"{len(failed)} of {len(names)} studies need attention: {', '.join(failed)}")


def _checked(name: str, studies: Mapping[str, Study], config: Config, config_dir: Path) -> tuple[str, list[Finding]]:
    """Return what to say of a study without problems, and what was found."""
    try:
        study = load_study(name, config_dir)
        check_mixtures(name, studies, config_dir)
        check_transfers(name, studies, config_dir)
        settings = RuleSettings(name, study, config, config_dir, studies)
        if study.source.simulate:
            return "valid; its raw data is simulated when it runs, so nothing is known of it yet", []
        return "valid", _findings(settings)
    except PhenoloomError as error:
        return "", [Finding("study", problems=[str(error)])]


def _findings(settings: RuleSettings) -> list[Finding]:
    sheet = settings.sheet()
    sheet.canonical()
    if not Path(sheet.root).is_dir():
        raise PhenoloomError(
            f"the study file is valid, but its raw data is not here: there is no folder {sheet.root}; give the folder "
            "that `source.root` starts from (`--config data_root=/path/to/data`, or `data_root` in config.yaml), or "
            "correct `source.root`"
        )
    with tempfile.TemporaryDirectory() as folder:
        paths = StudyFolder(Path(folder))
        refused = _make_sheet(sheet, paths)
        subject = Subject(settings.name, settings, paths.sheet, read_manifest(paths.sheet_manifest))
        return _once([*refused, *(_tried(one, subject) for one in CHECKS)])


def _make_sheet(settings: SheetSettings, paths: StudyFolder) -> list[Finding]:
    """Make a sheet; one with too many images left out is a problem, but the others are looked at all the same."""
    source = settings.source.model_copy(update={"root": settings.root})
    made_by = Provenance.of(settings)

    def make(rejected: float) -> None:
        make_sheet(source, settings.shards, rejected, paths.sheet, paths.sheet_manifest, made_by)

    try:
        make(settings.max_rejected_fraction)
    except PhenoloomError as error:
        try:
            make(1.0)
        except PhenoloomError:
            raise error from None
        return [Finding("sheet", problems=[str(error)])]
    return []


def _tried(one: Callable[[Subject], Finding], subject: Subject) -> Finding:
    """Return what a check finds; where it cannot go on, that is its problem."""
    try:
        return one(subject)
    except PhenoloomError as error:
        return Finding(one.__name__, problems=[str(error)])


def _once(findings: list[Finding]) -> list[Finding]:
    """Return findings without problems that were found before: one table may stop several checks."""
    known: set[str] = set()
    for finding in findings:
        finding.problems[:] = [problem for problem in finding.problems if problem not in known]
        known.update(finding.problems)
    return findings


def _page(finding: Finding) -> list[str]:
    """Return the lines of a finding: its topic in a column of its own, then each problem."""
    lines = [f"  {finding.topic if i == 0 else '':9}{line}" for i, line in enumerate(finding.lines)]
    problems = [line for problem in finding.problems for line in problem.splitlines()]
    return lines + [f"  {'problem':9}{line}" for line in problems]
