"""Inference targets, one constant a file; a new file here is a new target."""

from __future__ import annotations

from converter.registry import Registry
from converter.spec.target import Target

TARGETS: Registry[Target] = Registry("target", "converter.targets")
