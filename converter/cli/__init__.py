"""The command line: every command is one verb of ``api``, and says what it reports. Only this package and ``console`` print."""

from converter.cli import looking, road, transfer
from converter.cli.base import COMPLETION, main

__all__ = ["COMPLETION", "looking", "main", "road", "transfer"]
