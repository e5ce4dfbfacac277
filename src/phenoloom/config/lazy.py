"""A mapping that makes its values when they are first asked for: a cluster job reads only the study it works on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

V = TypeVar("V")


class Lazy(Mapping[str, V]):
    """`make(name)` for each of `names`, in their order, called at most once for each."""

    def __init__(self, names: Sequence[str], make: Callable[[str], V]) -> None:
        self._names, self._make = dict.fromkeys(names), make
        self._made: dict[str, V] = {}

    def __getitem__(self, name: str) -> V:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
