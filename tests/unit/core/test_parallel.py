from __future__ import annotations

import threading

import pytest

from phenoloom.core import parallel as ordered
from phenoloom.core.parallel import AHEAD_PER_THREAD, in_order


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("total", [0, 1, 40])
def test_every_result_is_taken_once_and_in_order(threads: int, total: int) -> None:
    taken: list[tuple[int, int]] = []
    in_order(lambda number: number**2, lambda number, result: taken.append((number, result)), total, threads)
    assert taken == [(number, number**2) for number in range(total)]


def test_order_holds_across_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordered, "GRAPH_ITEMS", 3)
    taken: list[int] = []
    in_order(lambda number: number, lambda number, _result: taken.append(number), 10, 2)
    assert taken == list(range(10))


def test_work_goes_ahead_of_a_slow_item_and_no_further_than_its_memory_allows() -> None:
    threads, taken, started = 2, set[int](), set[int]()
    ahead = AHEAD_PER_THREAD * threads
    all_ahead = threading.Event()

    def work(number: int) -> int:
        assert number < ahead or number - ahead in taken, "worked on before there was room for it"
        started.add(number)
        if len(started) == ahead:
            all_ahead.set()
        # The slow item: it ends only when all that may be worked on before it is taken has been started.
        if number == 0 and not all_ahead.wait(30):
            raise TimeoutError(f"only {sorted(started)} were started")
        return number

    in_order(work, lambda number, _result: taken.add(number), 40, threads)
    assert taken == set(range(40))


@pytest.mark.parametrize("failing", ["work", "take"])
def test_an_exception_is_raised_as_it_is_and_ends_the_work(failing: str) -> None:
    taken: list[int] = []

    def work(number: int) -> int:
        if failing == "work" and number == 7:
            raise KeyError("seven")
        return number

    def take(number: int, _result: int) -> None:
        if failing == "take" and number == 7:
            raise KeyError("seven")
        taken.append(number)

    with pytest.raises(KeyError, match="seven"):
        in_order(work, take, 1000, 2)
    assert taken == list(range(7))[: len(taken)]
