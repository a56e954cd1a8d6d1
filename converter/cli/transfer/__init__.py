"""``converter transfer``: weights and parts of models from one to another; every verb is a file of this package."""

from converter.cli.transfer import clone, copy, diff, graft, refit, restore
from converter.cli.transfer.group import transfer

__all__ = ["clone", "copy", "diff", "graft", "refit", "restore", "transfer"]
