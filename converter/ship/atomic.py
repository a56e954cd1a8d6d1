"""Files and folders that appear whole or not at all: written beside their place, synced, renamed.

A symbolic link at the place is replaced itself; what it points to is not touched.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from converter.errors import InputError, UsageError

MARK = ".partial-"
OLD = "old-"
PROOF = "manifest.json"  # what makes a folder a bundle


def check_free(path: str | Path, *, force: bool = False, folder: bool = False) -> Path:
    """``path`` if something may be written there; called before any work is done.

    Args:
        path: of what is to be written.
        force: replace what is there, if it is of the same kind.
        folder: a bundle is to be written, not a file.

    Raises:
        UsageError: it exists and ``force`` was not given, or is not the kind of thing that may be replaced.
        InputError: its folder cannot be written to.
    """
    path = Path(path)
    if os.path.lexists(path):
        _check_replaceable(path, force, folder)
    home = _nearest(path.absolute().parent)
    if not os.access(home, os.W_OK | os.X_OK) or not _can_write(home):
        raise InputError(f"cannot write to {home}, where {path.name} should go: no permission, or read-only")
    return path


def _check_replaceable(path: Path, force: bool, folder: bool) -> None:
    is_folder = path.is_dir() and not path.is_symlink()
    if is_folder and not folder:
        raise UsageError(f"{path} is a folder; a file is written here, so give the name of a file")
    if not force:
        raise UsageError(f"{path} exists already; pass --force to replace it, or give another path")
    if folder and path.is_file() and not path.is_symlink():
        raise UsageError(f"{path} is a file, not a bundle; it is not replaced, even with --force")
    if is_folder and any(path.iterdir()) and not (path / PROOF).is_file():
        raise UsageError(f"{path} is a folder that is not a bundle (no {PROOF}); it is not replaced, even with --force")


def _can_write(home: Path) -> bool:
    """Root may write anywhere by its permissions, but not on a read-only file system."""
    return not os.statvfs(home).f_flag & os.ST_RDONLY


def _nearest(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file, not a folder; nothing can be written inside it")
    return folder


@contextmanager
def new_folder(path: str | Path, *, force: bool = False) -> Iterator[Path]:
    """A folder to fill; when the body ends well it becomes ``path``, else it goes away.

    Raises:
        UsageError: as for :func:`check_free`.
        InputError: the disk is full or the folder cannot be written; the text names it.
    """
    path = check_free(path, force=force, folder=True).absolute()
    with _beside(path) as work:
        yield work
        _sync_tree(work)
        check_free(path, force=force, folder=True)  # another run may have come first
        _put(work, path)


def write_file(path: str | Path, write: Callable[[Path], None]) -> int:
    """Let ``write`` fill a file beside ``path``, with any files it puts next to it, then move all into place.

    Returns:
        How many bytes were written in all; known without reading anything back.

    Raises:
        InputError: the disk is full or the file cannot be written; the text names it.
    """
    path = Path(path).absolute()
    with _beside(path) as work:
        write(work / path.name)
        _sync_tree(work)
        parts = sorted(work.iterdir(), key=lambda p: p.name == path.name)  # the file itself last
        size = sum(part.stat().st_size for part in parts)
        for part in parts:
            part.replace(path.with_name(part.name))
        _sync(path.parent)
    return size


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """An empty folder on the same file system as ``path``, which is gone afterwards."""
    work = path.with_name(f".{path.name}{MARK}{os.getpid()}")
    missing = [folder for folder in path.parents if not folder.exists()]
    try:
        with _disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _sweep(path)
            _remove(work)
            work.mkdir()
            yield work
    finally:
        _remove(work)
        if not os.path.lexists(path):
            _remove_empty(missing)


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        free = shutil.disk_usage(_nearest(path.parent)).free
        raise InputError(f"cannot write {path}: {error.strerror or error}; {free / 1e6:.0f} MB are free there. Nothing was left behind") from error


def _sweep(path: Path) -> None:
    """Tidy up what killed runs left beside ``path``: a bundle that was moved aside goes back, work folders go away."""
    start = f".{path.name}{MARK}"
    for left in sorted(path.parent.iterdir()):
        rest = left.name.removeprefix(start)
        pid = rest.removeprefix(OLD)
        if rest == left.name or not pid.isdigit() or _alive(int(pid)):
            continue
        if rest != pid and not os.path.lexists(path):
            left.rename(path)
        else:
            _remove(left)


def _alive(pid: int) -> bool:
    if pid == os.getpid():
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _sync_tree(folder: Path) -> None:
    for file in folder.rglob("*"):
        _sync(file)
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _put(work: Path, path: Path) -> None:
    """``work`` becomes ``path``; what was there is gone afterwards, or still there where this fails."""
    if not os.path.lexists(path):
        work.rename(path)
    elif not _exchange(work, path):
        _put_aside(work, path)
    _sync(path.parent)


def _put_aside(work: Path, path: Path) -> None:
    """The two steps for systems that cannot exchange paths; a run killed between them is put right by :func:`_sweep`."""
    old = path.with_name(f".{path.name}{MARK}{OLD}{os.getpid()}")
    path.rename(old)
    try:
        work.rename(path)
    except BaseException:
        old.rename(path)
        raise
    _remove(old)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two paths in one step, so that there is no moment without either; False where the system cannot."""
    if sys.platform != "linux":
        return False
    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of renameat2(2)
    swap = getattr(ctypes.CDLL(None), "renameat2", None)
    return swap is not None and swap(here, os.fsencode(first), here, os.fsencode(second), exchange) == 0


def _remove_empty(folders: list[Path]) -> None:
    """Folders that were made on the way, the deepest first; one that something else was put into stays."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()
