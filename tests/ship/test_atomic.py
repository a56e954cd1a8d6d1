"""What is written appears whole or not at all, and what was there before is kept until then."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from converter.errors import InputError, UsageError
from converter.ship import atomic
from converter.ship.atomic import check_free, new_folder, write_file
from tests.ship.tiny import environment, leftovers

DEAD = 4_194_305  # above the largest process number that Linux gives


def bundle(path: Path, text: str = "old") -> Path:
    path.mkdir()
    (path / "manifest.json").write_text(text)
    return path


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def fill(folder: Path, text: str = "new") -> None:
    (folder / "manifest.json").write_text(text)
    (folder / "inner").mkdir()
    (folder / "inner" / "data").write_bytes(b"0" * 1000)


def test_a_folder_appears_when_the_body_ends(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b" / "out"
    with new_folder(out) as work:
        fill(work)
        assert not out.exists() and work.parent == out.parent
    assert (out / "manifest.json").read_text() == "new" and (out / "inner" / "data").stat().st_size == 1000
    assert names(out.parent) == ["out"]


@pytest.mark.parametrize("failure", [ValueError("no"), KeyboardInterrupt(), SystemExit(1), GeneratorExit()])
def test_nothing_appears_when_the_body_fails(tmp_path: Path, failure: BaseException) -> None:
    with pytest.raises(type(failure)), new_folder(tmp_path / "made" / "on the way" / "out") as work:  # noqa: PT012
        fill(work)
        raise failure
    assert names(tmp_path) == []


def test_folders_on_the_way_stay_where_something_else_lies_in_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), new_folder(tmp_path / "a" / "b" / "out"):  # noqa: PT012
        (tmp_path / "a" / "other").write_text("mine")
        raise ValueError("no")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "other"]


def test_a_full_disk_is_an_input_error_that_names_the_place(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot write .*out: No space left on device; \d+ MB are free there\. Nothing was left behind"), \
            new_folder(tmp_path / "out"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert names(tmp_path) == []


@pytest.mark.parametrize("swaps", [True, False], ids=["exchange", "two renames"])
def test_force_replaces_a_bundle_and_leaves_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swaps: bool) -> None:
    out = bundle(tmp_path / "out")
    if not swaps:
        monkeypatch.setattr(atomic, "_exchange", lambda a, b: False)
    with new_folder(out, force=True) as work:
        fill(work)
        assert (out / "manifest.json").read_text() == "old"
    assert (out / "manifest.json").read_text() == "new" and (out / "inner").is_dir()
    assert names(tmp_path) == ["out"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can exchange two paths")
def test_linux_exchanges_so_that_there_is_no_moment_without_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = bundle(tmp_path / "out")
    monkeypatch.setattr(Path, "rename", lambda *a: pytest.fail("two renames leave a gap"))
    with new_folder(out, force=True) as work:
        fill(work)
    assert (out / "manifest.json").read_text() == "new"


@pytest.mark.parametrize("failure", [OSError(errno.EIO, "broken"), KeyboardInterrupt()])
def test_the_old_bundle_is_put_back_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    out, rename = bundle(tmp_path / "out"), Path.rename
    monkeypatch.setattr(atomic, "_exchange", lambda a, b: False)

    def once(self: Path, target: Path) -> Path:
        if atomic.OLD not in self.name and Path(target) == out:
            raise failure
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", once)
    with pytest.raises((InputError, KeyboardInterrupt)), new_folder(out, force=True) as work:
        fill(work)
    assert (out / "manifest.json").read_text() == "old" and names(tmp_path) == ["out"]


def die(tmp_path: Path, body: str) -> None:
    """Run ``body`` in a process that ends on the spot where it calls ``die()``, as after a power cut."""
    script = f"import os\nfrom pathlib import Path\nfrom converter.ship import atomic\nout = Path({str(tmp_path / 'out')!r})\n" \
             f"def die(*a): os._exit(9)\n{body}"
    assert subprocess.run([sys.executable, "-c", script], env=environment(), check=False).returncode == 9


def test_a_run_that_died_while_writing_is_swept_away_by_the_next(tmp_path: Path) -> None:
    die(tmp_path, "with atomic.new_folder(out) as work:\n    (work / 'manifest.json').write_text('half')\n    die()")
    assert not (tmp_path / "out").exists() and len(leftovers(tmp_path)) == 1
    with new_folder(tmp_path / "out") as work:
        fill(work)
    assert names(tmp_path) == ["out"]


def test_a_run_that_died_between_two_renames_costs_no_bundle(tmp_path: Path) -> None:
    out = bundle(tmp_path / "out")
    die(tmp_path, "atomic._exchange = lambda a, b: False\nrename = Path.rename\n"
                  "Path.rename = lambda self, to: rename(self, to) if 'old-' in str(to) else die()\n"
                  "with atomic.new_folder(out, force=True) as work:\n    (work / 'manifest.json').write_text('new')")
    assert not out.exists() and len(leftovers(tmp_path)) == 2
    with pytest.raises(ValueError, match="second"), new_folder(out, force=True):  # noqa: PT012
        assert (out / "manifest.json").read_text() == "old"
        raise ValueError("second")
    assert (out / "manifest.json").read_text() == "old" and names(tmp_path) == ["out"]


def test_the_sweep_takes_what_dead_runs_left_and_nothing_else(tmp_path: Path) -> None:
    kept = [f".out.partial-{os.getppid()}", f".other.partial-{DEAD}", ".out.partial-notes", f".out[1].partial-{DEAD}"]
    for name in [*kept, f".out.partial-{DEAD}", f".out.partial-old-{DEAD}"]:
        bundle(tmp_path / name)
    bundle(tmp_path / "out")
    write_file(tmp_path / "out2", lambda file: file.write_text("other name"))
    with new_folder(tmp_path / "out", force=True) as work:
        fill(work)
    assert sorted(names(tmp_path)) == sorted([*kept, "out", "out2"])


def test_a_name_with_brackets_is_swept_too(tmp_path: Path) -> None:
    bundle(tmp_path / f".out[1].partial-{DEAD}")
    with new_folder(tmp_path / "out[1]") as work:
        fill(work)
    assert names(tmp_path) == ["out[1]"]


@pytest.mark.parametrize("dangling", [True, False])
def test_a_link_is_replaced_and_its_target_is_not_touched(tmp_path: Path, dangling: bool) -> None:
    out = tmp_path / "out"
    if not dangling:
        bundle(tmp_path / "target")
    out.symlink_to(tmp_path / "target")
    with pytest.raises(UsageError, match="exists already"):
        check_free(out, folder=True)
    with new_folder(out, force=True) as work:
        fill(work)
    assert not out.is_symlink() and (out / "manifest.json").read_text() == "new"
    if not dangling:
        assert (tmp_path / "target" / "manifest.json").read_text() == "old"
    assert leftovers(tmp_path) == []


def test_a_link_to_a_file_is_replaced_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_file(tmp_path / "link", lambda file: file.write_text("new"))
    assert (tmp_path / "target").read_text() == "old" and (tmp_path / "link").read_text() == "new"


def a_file(path: Path) -> None:
    path.write_text("mine")


def a_folder(path: Path) -> None:
    path.mkdir()
    (path / "notes.txt").write_text("mine")


@pytest.mark.parametrize(("make", "folder", "force", "text"), [
    (a_file, True, False, "exists already; pass --force"), (a_file, True, True, "is a file, not a bundle; it is not replaced, even with --force"),
    (a_folder, True, False, "exists already"), (a_folder, True, True, r"is a folder that is not a bundle \(no manifest.json\)"),
    (bundle, True, False, "exists already"), (a_file, False, False, "exists already"),
    (a_folder, False, True, "is a folder; a file is written here"), (bundle, False, True, "is a folder; a file is written here"),
])
def test_what_is_there_is_refused(tmp_path: Path, make: Callable[[Path], object], folder: bool, force: bool, text: str) -> None:
    make(tmp_path / "out")
    with pytest.raises(UsageError, match=text):
        check_free(tmp_path / "out", force=force, folder=folder)


@pytest.mark.parametrize(("make", "folder"), [(a_file, False), (bundle, True), (Path.mkdir, True)])
def test_force_allows_what_is_of_the_same_kind(tmp_path: Path, make: Callable[[Path], object], folder: bool) -> None:
    make(tmp_path / "out")
    assert check_free(tmp_path / "out", force=True, folder=folder) == tmp_path / "out"


def test_a_bundle_that_came_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="exists already"), new_folder(out) as work:  # noqa: PT012
        fill(work)
        bundle(out, "of another run")
    assert (out / "manifest.json").read_text() == "of another run" and names(tmp_path) == ["out"]


def test_a_parent_that_is_a_file_is_refused(tmp_path: Path) -> None:
    a_file(tmp_path / "file")
    with pytest.raises(UsageError, match=r"file is a file, not a folder; nothing can be written inside it"):
        check_free(tmp_path / "file" / "inner" / "out")


def test_writing_below_a_file_is_refused_and_the_file_stays(tmp_path: Path) -> None:
    a_file(tmp_path / "file")
    with pytest.raises(UsageError, match="file is a file, not a folder"):
        write_file(tmp_path / "file" / "report.json", lambda file: file.write_text("x"))
    assert (tmp_path / "file").read_text() == "mine"


def test_a_read_only_file_system_is_refused_for_root_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs

    class ReadOnly:
        f_flag = os.ST_RDONLY | real(tmp_path).f_flag

    monkeypatch.setattr(os, "statvfs", lambda path: ReadOnly)
    with pytest.raises(InputError, match=f"cannot write to {tmp_path}, where out should go: no permission, or read-only"):
        check_free(tmp_path / "out")


def test_a_folder_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    with pytest.raises(InputError, match="no permission"):
        check_free(tmp_path / "out")


def test_a_file_and_what_lies_beside_it_are_moved_in_together(tmp_path: Path) -> None:
    order: list[str] = []

    def write(file: Path) -> None:
        file.write_text("graph")
        file.with_name("m.onnx.data").write_text("weights")

    real = Path.replace
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", lambda self, to: order.append(self.name) or real(self, to))
        written = write_file(tmp_path / "m.onnx", write)
    assert written == len("graph") + len("weights")
    assert order == ["m.onnx.data", "m.onnx"], "a graph must never lie there without its weights"
    assert sorted(names(tmp_path)) == ["m.onnx", "m.onnx.data"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_text("old")

    def write(file: Path) -> None:
        file.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InputError, match="No space left"):
        write_file(tmp_path / "m.onnx", write)
    assert (tmp_path / "m.onnx").read_text() == "old" and names(tmp_path) == ["m.onnx"]


def test_everything_is_synced_before_it_is_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real_put = atomic._put
    monkeypatch.setattr(atomic, "_sync", lambda path: seen.append(path.name))
    monkeypatch.setattr(atomic, "_put", lambda work, path: (seen.append("put"), real_put(work, path)))
    with new_folder(tmp_path / "out") as work:
        fill(work)
    assert set(seen[:seen.index("put")]) >= {"manifest.json", "inner", "data"}
    assert seen[-1] == tmp_path.name, "the folder that holds the new name"
