"""Stages: who listens hears of them in order, and of a failure by its silence."""

from __future__ import annotations

import pytest

from converter.progress import SILENT, Listener, Stages


class Heard:
    """Notes what it hears."""

    def __init__(self) -> None:
        self.said: list[tuple[object, ...]] = []

    def begin(self, stage: str, total: int | None) -> None:
        self.said.append(("begin", stage, total))

    def advance(self, steps: int) -> None:
        self.said.append(("advance", steps))

    def end(self, stage: str, seconds: float) -> None:
        assert seconds >= 0
        self.said.append(("end", stage))


def test_a_stage_from_begin_to_end() -> None:
    heard = Heard()
    stages = Stages(heard)
    with stages.stage("verify", 5) as advance:
        advance(3)
        advance(2)
    assert heard.said == [("begin", "verify", 5), ("advance", 3), ("advance", 2), ("end", "verify")]


def test_a_stage_that_fails_never_ends() -> None:
    heard = Heard()
    stages = Stages(heard)
    with pytest.raises(KeyError), stages.stage("load"):
        raise KeyError
    assert heard.said == [("begin", "load", None)] and stages.seconds == {}


def test_times_of_a_stage_that_runs_twice_add_up() -> None:
    stages = Stages(SILENT)
    for name in ("clean", "parity", "clean"):
        with stages.stage(name) as advance:
            advance(1)
            stages.seconds[name] = stages.seconds.get(name, 0.0) + 100
    assert list(stages.seconds) == ["clean", "parity"] and 200 <= stages.seconds["clean"] < 300


def test_silence_is_a_listener() -> None:
    listener: Listener = SILENT
    listener.begin("a", None)
    listener.advance(1)
    listener.end("a", 0.0)
