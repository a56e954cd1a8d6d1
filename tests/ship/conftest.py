"""What the tests of ship share: timing cut short, one case, and one shipped bundle to copy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import converter
from tests.ship import tiny


@pytest.fixture(scope="session")
def quick() -> Iterator[None]:
    """Latency is measured for a moment only: what is tested is not how fast this machine is."""
    with pytest.MonkeyPatch.context() as patch:
        tiny.cut_short(patch)
        yield


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Paths of model, calib and eval."""
    return tiny.write_case(tmp_path_factory.mktemp("case"))


@pytest.fixture(scope="session")
def shipped(case: dict[str, Path], quick: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that is there to be copied."""
    out = tmp_path_factory.mktemp("shipped") / "bundle"
    converter.ship(case["model"], out, calib=case["calib"], eval=case["eval"], metric="top1", max_drop=20)
    return out


@pytest.fixture
def copied(shipped: Path, tmp_path: Path) -> Path:
    """A bundle to spoil."""
    return Path(shutil.copytree(shipped, tmp_path / "bundle"))
