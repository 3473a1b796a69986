"""The directory tree of a simulated disk: which names are there, and which would be after a power failure.

In: creations, renames, removals, synced directories. Out: the inode of a name; and after `lose_power`, what a
journaling file system keeps: everything made durable, and of the rest the first so many operations, drawn by seed. A
file in a directory that was never made durable itself is gone with it.
"""

from __future__ import annotations

import posixpath
import random
from dataclasses import dataclass
from enum import Enum
from errno import EEXIST, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY
from os import strerror

from sprawl.runtime.simulated.inodes import Inode

Tree = dict[str, Inode | None]
"""Inodes by absolute path; None is a directory."""


def normal(path: str) -> str:
    """The one absolute form of a path. Relative paths begin at the root: a node has no working directory."""
    return posixpath.normpath("/" + path).replace("//", "/")


class _Kind(Enum):
    PUT = "put"
    DROP = "drop"
    MOVE = "move"


@dataclass(slots=True)
class _Change:
    kind: _Kind
    path: str
    inode: Inode | None = None
    target: str = ""

    def touches(self, directory: str) -> bool:
        if posixpath.dirname(self.path) == directory:
            return True
        return self.kind is _Kind.MOVE and posixpath.dirname(self.target) == directory

    def apply(self, tree: Tree) -> None:
        if self.kind is _Kind.PUT:
            tree[self.path] = self.inode
        elif self.kind is _Kind.DROP:
            tree.pop(self.path, None)
        else:
            # What is in a directory that moves stays there, or stays missing, as it was.
            tree.setdefault(self.path, self.inode)
            for name in [name for name in tree if _within(name, self.path)]:
                tree[self.target + name[len(self.path) :]] = tree.pop(name)

    def follow(self, old: str, new: str) -> None:
        """The directory that this happened in has got another name since."""
        if _within(self.path, old):
            self.path = new + self.path[len(old) :]
        if self.kind is _Kind.MOVE and _within(self.target, old):
            self.target = new + self.target[len(old) :]


def _within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory + "/")


class Names:
    __slots__ = ("_durable", "_pending", "_tree")

    def __init__(self) -> None:
        self._tree: Tree = {"/": None}
        self._durable: Tree = {"/": None}
        self._pending: list[_Change] = []

    def get(self, path: str) -> Inode:
        path = normal(path)
        inode = self._tree.get(path)
        if inode is None:
            if path in self._tree:
                raise IsADirectoryError(EISDIR, strerror(EISDIR), path)
            raise FileNotFoundError(ENOENT, strerror(ENOENT), path)
        return inode

    def exists(self, path: str) -> bool:
        return normal(path) in self._tree

    def inodes(self) -> list[Inode]:
        return [inode for inode in self._tree.values() if inode is not None]

    def entries(self, path: str) -> list[str]:
        path = normal(path)
        self._check_directory(path)
        return sorted(posixpath.basename(name) for name in self._children(path))

    def below(self, path: str) -> list[Inode]:
        """All files at or under `path`."""
        path = normal(path)
        prefix = "" if path == "/" else path
        return [inode for name, inode in self._tree.items() if inode is not None and _within(name, prefix)]

    def create(self, path: str, inode: Inode) -> None:
        path = normal(path)
        self._check_directory(posixpath.dirname(path))
        self._change(_Change(_Kind.PUT, path, inode))

    def make_dirs(self, path: str) -> None:
        path = normal(path)
        if path in self._tree:
            if self._tree[path] is not None:
                raise FileExistsError(EEXIST, strerror(EEXIST), path)
            return
        self.make_dirs(posixpath.dirname(path))
        self._change(_Change(_Kind.PUT, path))

    def rename(self, old: str, new: str) -> None:
        old, new = normal(old), normal(new)
        if old not in self._tree:
            raise FileNotFoundError(ENOENT, strerror(ENOENT), old)
        self._check_directory(posixpath.dirname(new))
        if new in self._tree and old != new:
            self._check_replaceable(old, new)
        if old == new:
            return
        change = _Change(_Kind.MOVE, old, self._tree[old], new)
        change.apply(self._tree)
        if self._tree[new] is None:
            for earlier in self._pending:
                earlier.follow(old, new)
        self._pending.append(change)

    def remove(self, path: str) -> None:
        self.get(path)
        path = normal(path)
        self._change(_Change(_Kind.DROP, path))

    def remove_tree(self, path: str) -> None:
        path = normal(path)
        self._check_directory(path)
        for name in sorted((name for name in self._tree if _within(name, path)), reverse=True):
            self._change(_Change(_Kind.DROP, name))

    def sync(self, directory: str) -> None:
        directory = normal(directory)
        self._check_directory(directory)
        left: list[_Change] = []
        for change in self._pending:
            if change.touches(directory):
                change.apply(self._durable)
            else:
                left.append(change)
        self._pending = left

    def sync_entry(self, path: str) -> None:
        """Make what happened in the directory of `path` durable, as SQLite and RocksDB do for their own files."""
        self.sync(posixpath.dirname(normal(path)))

    def lose_power(self, rng: random.Random) -> None:
        kept = rng.randrange(len(self._pending) + 1)
        for change in self._pending[:kept]:
            change.apply(self._durable)
        self._pending.clear()
        # What hangs in a directory that is not there can't be reached.
        found: Tree = {}
        for name in sorted(self._durable, key=lambda name: (name.count("/"), name)):
            parent = posixpath.dirname(name)
            if name == "/" or (parent in found and found[parent] is None):
                found[name] = self._durable[name]
        self._tree = found
        self._durable = dict(found)

    def _change(self, change: _Change) -> None:
        change.apply(self._tree)
        self._pending.append(change)

    def _children(self, path: str) -> list[str]:
        return [name for name in self._tree if name != "/" and posixpath.dirname(name) == path]

    def _check_directory(self, path: str) -> None:
        if path not in self._tree:
            raise FileNotFoundError(ENOENT, strerror(ENOENT), path)
        if self._tree[path] is not None:
            raise NotADirectoryError(ENOTDIR, strerror(ENOTDIR), path)

    def _check_replaceable(self, old: str, new: str) -> None:
        if self._tree[new] is None:
            if self._tree[old] is not None:
                raise IsADirectoryError(EISDIR, strerror(EISDIR), new)
            if self._children(new):
                raise OSError(ENOTEMPTY, strerror(ENOTEMPTY), new)
        elif self._tree[old] is None:
            raise NotADirectoryError(ENOTDIR, strerror(ENOTDIR), new)
