"""The command line in fresh processes: signals, full and read-only disks, pipes, and what is imported."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import converter
from converter.spec.report import Verdict
from tests.ship import tiny
from tests.ship.tiny import failed

STAGES = ("load", "verify", "time")


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return tiny.write_case(tmp_path_factory.mktemp("case"))


def start(arguments: list[str], **more: Any) -> subprocess.Popen[str]:
    """Not measured by coverage: its tracer holds a lock that is not freed when a signal raises in there, and the process would hang."""
    return subprocess.Popen([sys.executable, "-m", "converter", *arguments], env=unmeasured(), text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **more)


def unmeasured() -> dict[str, str]:
    return {name: value for name, value in tiny.environment().items() if not name.startswith("COVERAGE_")}


def wait_for(process: subprocess.Popen[str], stage: str) -> str:
    """Read standard error up to the line of ``stage``, so that the next stage is running."""
    seen = ""
    assert process.stderr is not None
    for line in process.stderr:
        seen += line
        if line.startswith(f"{stage}:"):
            return seen
    raise AssertionError(f"{stage} never ended: {seen}")


# --- interrupted


@pytest.mark.parametrize("stage", STAGES)
def test_ctrl_c(case: dict[str, Path], tmp_path: Path, stage: str) -> None:
    process = start(tiny.ship_arguments(case, tmp_path / "out"))
    wait_for(process, stage)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    if process.returncode == 0:  # it came after the last word
        assert converter.replay(tmp_path / "out").verdict is Verdict.YES
        return
    assert process.returncode == 130 and out == ""
    assert tiny.messages(err) == ["converter: interrupted; no file was left half-written"]
    assert list(tmp_path.iterdir()) == []


def test_terminated(case: dict[str, Path], tmp_path: Path) -> None:
    process = start(tiny.ship_arguments(case, tmp_path / "out"))
    wait_for(process, "verify")
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143 and err.endswith("converter: terminated; no file was left half-written\n")
    assert list(tmp_path.iterdir()) == []


def kill_at_random(case: dict[str, Path], folder: Path, times: int, seed: int) -> tuple[int, int]:
    """Ship, and kill at a random moment, mostly while files are written. The bundle is whole or absent; returns how often each."""
    draw, whole, absent = random.Random(seed), 0, 0
    for turn in range(times):
        out = folder / "out"
        process = start(tiny.ship_arguments(case, out, "--force"))
        if turn % 4:
            wait_for(process, "time")  # the bundle is written next
            time.sleep(draw.uniform(0, 1.5))
        else:
            time.sleep(draw.uniform(0, 3))
        process.kill()
        process.communicate(timeout=60)
        if out.exists():
            whole += 1
            assert converter.replay(out).verdict is Verdict.YES
            if draw.random() < 0.5:
                shutil.rmtree(out)
        else:
            absent += 1
        assert {p.name for p in folder.iterdir()} - {"out"} <= set(tiny.leftovers(folder))
    return whole, absent


def sweep(case: dict[str, Path], folder: Path) -> None:
    """The next run that gets through clears away what the killed ones left."""
    assert tiny.converter(*tiny.ship_arguments(case, folder / "out", "--force")).returncode == 0
    assert [p.name for p in folder.iterdir()] == ["out"] and converter.replay(folder / "out").verdict is Verdict.YES


def test_killed_three_times(case: dict[str, Path], tmp_path: Path) -> None:
    kill_at_random(case, tmp_path, 3, seed=1)
    sweep(case, tmp_path)


@pytest.mark.slow
def test_killed_twenty_times(case: dict[str, Path], tmp_path: Path) -> None:
    whole, absent = kill_at_random(case, tmp_path, 20, seed=2)
    assert whole + absent == 20
    sweep(case, tmp_path)


# --- disks


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A small file system in memory, where this user may mount one."""
    folder.mkdir()
    mount = shutil.which("mount")
    done = mount and subprocess.run([mount, "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False).returncode == 0
    if not done:
        pytest.skip("this user may not mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("size", ["8k", "100k"])
def test_a_full_disk(case: dict[str, Path], tmp_path: Path, size: str) -> None:
    """Sizes at which different files of the bundle do not fit any more."""
    with mounted(tmp_path / "disk", f"size={size}") as disk:
        failed(tiny.run(*tiny.ship_arguments(case, disk / "out")), 2, r"cannot write .*/out: No space left on device; 0 MB are free there")
        assert list(disk.iterdir()) == []


def test_a_full_disk_leaves_the_old_bundle(case: dict[str, Path], tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=200k") as disk:
        assert tiny.run(*tiny.ship_arguments(case, disk / "out")).exit_code == 0
        failed(tiny.run(*tiny.ship_arguments(case, disk / "out", "--force")), 2, "No space left on device")
        assert [p.name for p in disk.iterdir()] == ["out"] and converter.replay(disk / "out").verdict is Verdict.YES


def test_no_room_for_an_exported_file(case: dict[str, Path], tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=4k") as disk:
        failed(tiny.run("quantize", case["model"], "--calib", case["calib"], "-o", disk / "int8.onnx"), 2, "int8.onnx: No space left on device")
        assert list(disk.iterdir()) == []


def test_a_read_only_disk(case: dict[str, Path], tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=1m,ro") as disk:
        for out in (disk / "out", disk / "a" / "b" / "out"):
            failed(tiny.run(*tiny.ship_arguments(case, out)), 2, "cannot write to .*/disk, where out should go: no permission, or read-only")


@pytest.mark.slow
def test_files_may_not_grow(case: dict[str, Path], tmp_path: Path) -> None:
    """The limit of ``ulimit -f``, where nothing can be mounted."""
    import resource

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_960, 40_960))

    with start(tiny.ship_arguments(case, tmp_path / "out"), preexec_fn=limit) as process:  # a measured one would write a file of its own too
        _, err = process.communicate(timeout=120)
    assert process.returncode == 2 and "File too large" in err and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


# --- streams


@pytest.mark.parametrize("arguments", [["targets"], ["targets", "--json"], ["--help"], ["doctor"]])
def test_the_reader_goes_away(arguments: list[str]) -> None:
    with start(arguments) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.wait(timeout=60) == 141 and process.stderr.read() == ""


def test_standard_output_is_full() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-m", "converter", "targets"], env=tiny.environment(), stdout=full, stderr=subprocess.PIPE, text=True,
                              check=False)
    assert done.returncode != 0 and "No space left on device" in done.stderr and "Traceback" not in done.stderr


def test_ascii_only_streams() -> None:
    env = {**tiny.environment(), "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = subprocess.run([sys.executable, "-m", "converter", "targets"], env=env, capture_output=True, check=False)
    assert done.returncode == 0 and b"QLinearConv" in done.stdout and done.stderr == b""


# --- what is imported, and how it is called


@pytest.mark.parametrize("arguments", [["--help"], ["ship", "--help"], ["--version"], ["shipp"], ["ship"]])
def test_quick_answers_import_nothing_heavy(arguments: list[str]) -> None:
    code = ("import atexit, sys\natexit.register(lambda: sys.stderr.write(str(sorted(m for m in ('tensorflow', 'keras', 'onnx', 'onnx_ir', "
            f"'onnxruntime', 'numpy', 'matplotlib', 'rich') if m in sys.modules))))\nfrom converter.cli import main\nmain({arguments!r})")
    done = subprocess.run([sys.executable, "-c", code], env=tiny.environment(), text=True, capture_output=True, check=False)
    assert done.stderr.endswith("[]"), done.stderr


def test_an_error_that_can_be_seen_at_once_costs_no_keras(case: dict[str, Path], tmp_path: Path) -> None:
    code = ("import atexit, sys\natexit.register(lambda: sys.stderr.write(str('tensorflow' in sys.modules)))\nfrom converter.cli import main\n"
            f"main(['ship', 'nowhere.keras', '--calib', {str(case['calib'])!r}, '-o', {str(tmp_path / 'out')!r}])")
    done = subprocess.run([sys.executable, "-c", code], env=tiny.environment(), text=True, capture_output=True, check=False, cwd=tmp_path)
    assert done.returncode == 2 and "no such file or folder: nowhere.keras" in done.stderr and done.stderr.endswith("False")


def test_the_module_and_the_command_are_the_same() -> None:
    script = Path(sys.executable).with_name("converter")
    if not script.exists():
        pytest.skip("converter is not installed in this environment")
    first = subprocess.run([script, "ship", "--help"], capture_output=True, check=False)
    second = subprocess.run([sys.executable, "-m", "converter", "ship", "--help"], env=tiny.environment(), capture_output=True, check=False)
    assert (first.returncode, first.stdout, first.stderr) == (second.returncode, second.stdout, second.stderr)


@pytest.mark.slow
def test_two_runs_at_once_do_not_mix(case: dict[str, Path], tmp_path: Path) -> None:
    runs = [start(tiny.ship_arguments(case, tmp_path / "out", "--force")) for _ in range(2)]
    assert [run.communicate(timeout=120) and run.returncode for run in runs] == [0, 0]
    assert [p.name for p in tmp_path.iterdir()] == ["out"] and converter.replay(tmp_path / "out").verdict is Verdict.YES


# --- one run from a Keras file


@pytest.mark.slow
def test_the_model_of_the_repository(tmp_path: Path) -> None:
    models = tiny.ROOT / "models"
    done = tiny.converter("ship", models / "fashion_cnn.keras", "--calib", models / "fashion_calib.npz", "--eval", models / "fashion_eval.npz",
                          "--metric", "top1", "--max-drop", "1.0", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert tiny.messages(done.stderr) == [], "nothing but progress"
    assert "verdict: yes" in done.stdout and "10 of 10" in done.stdout
    again = tiny.converter("replay", tmp_path / "out", "--json")
    assert again.returncode == 0 and again.stderr == "" and tiny.only_json(again.stdout)["verdict"] == "yes"
