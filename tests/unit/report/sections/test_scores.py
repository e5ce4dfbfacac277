from __future__ import annotations

from phenoloom.report.scoreboard import Scoreboard
from phenoloom.report.sections.scores import pairs


def test_learned_representations_are_paired_with_descriptors_and_their_untrained_twin(board: Scoreboard) -> None:
    best = board.ranked("descriptors")[0]
    assert ("vqvae", best, "best descriptors") in pairs(board)
    assert ("vqvae", "vqvae-untrained", "untrained") in pairs(board)
    assert not [pair for pair in pairs(board) if pair[0] == "shape-ae" and pair[2] == "untrained"]
