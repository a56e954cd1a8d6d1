"""Notes of native libraries are held back; everything else that was written comes out."""

from __future__ import annotations

import os

import pytest

from converter.frontend.native_notes import held_back


def test_only_the_notes_are_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    with held_back():
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n")
        os.write(2, b"I0000 00:00:1 1 cudart_stub.cc:31] Could not find cuda drivers\n")
        os.write(2, b"something the user must see\n")
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "something the user must see\nafterwards\n"


def test_an_error_in_the_body_loses_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError):
        _fail()
    assert capfd.readouterr().err == "why it failed\n"


def _fail() -> None:
    with held_back():
        os.write(2, b"why it failed\n")
        raise ImportError("no")
