from __future__ import annotations

import threading

import pytest

from phenoloom.core import parallel
from phenoloom.core.parallel import AHEAD_PER_THREAD, parallel_map


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("total", [0, 1, 40])
def test_every_result_comes_once_and_in_order(threads: int, total: int) -> None:
    assert list(parallel_map(lambda number: number**2, range(total), threads)) == [n**2 for n in range(total)]


def test_order_holds_across_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "GRAPH_ITEMS", 3)
    assert list(parallel_map(str, range(10), 2)) == [str(number) for number in range(10)]


def test_work_goes_ahead_of_a_slow_item_and_no_further_than_its_memory_allows() -> None:
    threads, taken, started = 2, list[int](), set[int]()
    ahead = AHEAD_PER_THREAD * threads
    all_ahead = threading.Event()

    def work(number: int) -> int:
        # One result waits in the queue and one in the hands of the thread that puts it there.
        assert number < ahead + len(taken) + 2, "worked on before its turn"
        started.add(number)
        if len(started) == ahead:
            all_ahead.set()
        # The slow item: it ends only when all that may be worked on before it is taken has been started.
        if number == 0 and not all_ahead.wait(30):
            raise TimeoutError(f"only {sorted(started)} were started")
        return number

    for number in parallel_map(work, range(40), threads):
        taken.append(number)
    assert taken == list(range(40))


def test_results_that_nobody_takes_stop_the_work() -> None:
    started, limit = set[int](), AHEAD_PER_THREAD * 2 + 2
    results = parallel_map(lambda number: started.add(number), range(1000), 2)
    next(results)
    before = threading.active_count()
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() < before
    assert max(started) <= limit


def test_an_exception_of_the_work_is_raised_as_it_is_and_ends_the_work() -> None:
    taken, started = list[int](), set[int]()

    def work(number: int) -> int:
        started.add(number)
        if number == 7:
            raise KeyError("seven")
        return number

    with pytest.raises(KeyError, match="seven"):
        taken.extend(parallel_map(work, range(1000), 2))
    assert taken == list(range(7))[: len(taken)]
    assert max(started) < 7 + 2 * AHEAD_PER_THREAD * 2


def test_an_exception_of_the_caller_ends_the_work() -> None:
    started = set[int]()
    with pytest.raises(KeyError, match="three"):  # noqa: PT012 - the loop is what raises
        for number in parallel_map(lambda number: started.add(number) or number, range(1000), 2):
            if number == 3:
                raise KeyError("three")
    assert max(started) < 3 + 2 * AHEAD_PER_THREAD * 2
