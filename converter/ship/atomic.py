"""Files and folders that appear whole or not at all: written beside their place, synced, renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from converter.errors import InputError, UsageError

MARK = ".partial-"


def check_free(path: str | Path, *, force: bool = False) -> Path:
    """``path`` if something may be written there; called before any work is done.

    Raises:
        UsageError: it exists and ``force`` was not given, or is not the kind of thing that may be replaced.
        InputError: its folder cannot be written to.
    """
    path = Path(path)
    if path.is_symlink() or path.exists():
        if not force:
            raise UsageError(f"{path} exists already; pass --force to replace it, or give another path")
        if path.is_dir() and any(path.iterdir()) and not (path / "manifest.json").is_file():
            raise UsageError(f"{path} is a folder that is not a bundle (no manifest.json); it is not replaced, even with --force")
    home = _nearest(path.absolute().parent)
    if not os.access(home, os.W_OK | os.X_OK) or not _can_write(home):
        raise InputError(f"cannot write to {home}, where {path.name} should go: no permission, or read-only")
    return path


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
        InputError: the disk is full or the folder cannot be written; the text names it.
    """
    path = check_free(path, force=force).absolute()
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        work = path.with_name(f".{path.name}{MARK}{os.getpid()}")
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
    try:
        with _disk_errors(path):
            yield work
            _sync_tree(work)
            _put(work, path, force)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def write_file(path: str | Path, write: Callable[[Path], None], *, force: bool = True) -> None:
    """Let ``write`` fill a file beside ``path``, with any files it puts next to it, then move all into place."""
    path = Path(path).absolute()
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        work = path.with_name(f".{path.name}{MARK}{os.getpid()}")
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            write(work / path.name)
            _sync_tree(work)
            for part in sorted(work.iterdir(), key=lambda p: p.name == path.name):  # the file itself last
                part.replace(path.with_name(part.name))
        finally:
            shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        free = shutil.disk_usage(_nearest(path.parent)).free
        raise InputError(f"cannot write {path}: {error.strerror or error}; {free / 1e6:.0f} MB are free there. Nothing was left behind") from error


def _sweep(path: Path) -> None:
    """Remove what killed runs left beside ``path``: work folders of processes that are gone."""
    for left in path.parent.glob(f".{path.name}{MARK}*"):
        pid = left.name.rsplit("-", 1)[-1]
        if pid.isdigit() and int(pid) != os.getpid() and not _alive(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
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


def _put(work: Path, path: Path, force: bool) -> None:
    old = path.with_name(f".{path.name}{MARK}old-{os.getpid()}")
    if path.exists() and force:
        path.rename(old)
    try:
        work.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise
    _sync(path.parent)
    if old.is_dir():
        shutil.rmtree(old, ignore_errors=True)
    elif old.exists():
        old.unlink()
