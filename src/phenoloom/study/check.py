"""Check studies and their models without running anything."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..artifacts.layout import StudyFolder
from ..artifacts.manifest import read_manifest
from ..artifacts.provenance import Provenance
from ..config import RuleSettings, check_mixtures, check_transfers, load_config, load_study, read_yaml
from ..config.load import Lazy
from ..config.run import Config
from ..core.errors import PhenoloomError
from .sheet import make_sheet


def check(studies: Sequence[str], config_dir: Path, data_root: str | None) -> None:
    """Validate the configuration, every study (or those named) and its sheet; raises PhenoloomError after printing all.

    No pixel is read: the files are listed, the tables joined and the labels counted, in a temporary folder.
    """
    values = read_yaml(config_dir / "config.yaml")
    if data_root is not None:
        values["data_root"] = data_root
    config = load_config(values, str(config_dir / "config.yaml"))
    names = list(studies) or sorted(path.stem for path in (config_dir / "studies").glob("*.yaml"))
    failed = []
    for name in names:
        try:
            print(f"{name}: {_check_study(name, config, config_dir)}")
        except PhenoloomError as error:
            failed.append(name)
            print(f"{name}: {error}")
    if failed:
        raise PhenoloomError(f"{len(failed)} of {len(names)} studies need attention: {', '.join(failed)}")


def _check_study(name: str, config: Config, config_dir: Path) -> str:
    study = load_study(name, config_dir)
    known = sorted(path.stem for path in (config_dir / "studies").glob("*.yaml"))
    studies = Lazy(known, lambda other: load_study(other, config_dir))
    check_mixtures(name, studies, config_dir)
    check_transfers(name, studies, config_dir)
    if study.source.simulate:
        return "valid; its raw data is simulated when it runs"
    settings = RuleSettings(name, study, config, config_dir).sheet()
    settings.canonical()
    if not Path(settings.root).is_dir():
        raise PhenoloomError(
            f"valid, but its raw data is not here: there is no folder {settings.root}; set data_root or source.root"
        )
    with tempfile.TemporaryDirectory() as folder:
        paths = StudyFolder(Path(folder))
        source = settings.source.model_copy(update={"root": settings.root})
        rejected, made_by = settings.max_rejected_fraction, Provenance.of(settings)
        make_sheet(source, settings.shards, rejected, paths.sheet, paths.sheet_manifest, made_by)
        manifest = read_manifest(paths.sheet_manifest)
    found = ", ".join(f"{count} {what}" for what, count in manifest["found"].items())
    return f"valid; {found}, {len(manifest['quarantine'])} quarantined, {study.shards} shards"
