"""Keep a bounded number of files open for a whole process: clusters allow a process about a thousand."""

from __future__ import annotations

import resource
import threading
from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path
from typing import IO


class OpenFiles:
    """A cache that keeps the most recently used files open; safe to use from many threads."""

    def __init__(self, limit: int | None = None) -> None:
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.limit = limit or (512 if allowed == resource.RLIM_INFINITY else max(16, min(512, allowed // 2)))
        self._files: OrderedDict[Hashable, IO[bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, path: Path) -> IO[bytes]:
        """Return the open file of `key`; open `path` if there is none.

        A file that drops out is closed when the last thread that reads it is done, so no thread can read from a
        descriptor that was closed and given to another file.
        """
        with self._lock:
            file = self._files.get(key)
            if file is not None:
                self._files.move_to_end(key)
                return file
        opened = path.open("rb", buffering=0)
        with self._lock:
            file = self._files.setdefault(key, opened)
            if len(self._files) > self.limit:
                self._files.popitem(last=False)
        return file

    def drop(self, owner: Hashable) -> None:
        """Forget all files whose key is a tuple that starts with `owner`."""
        with self._lock:
            for key in [key for key in self._files if isinstance(key, tuple) and key[0] == owner]:
                del self._files[key]

    def __len__(self) -> int:
        return len(self._files)
