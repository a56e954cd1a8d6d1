"""The verbs of the product as Python functions; ``import converter`` re-exports them lazily."""

from converter.api.cloning import clone
from converter.api.grafting import graft
from converter.api.looking import bench, diff, inspect, replay, verify
from converter.api.road import export, quantize, ship
from converter.api.transfer import copy_weights, refit, restore

__all__ = ["bench", "clone", "copy_weights", "diff", "export", "graft", "inspect", "quantize", "refit", "replay", "restore", "ship", "verify"]
