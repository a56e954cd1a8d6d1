"""The verbs of the product as Python functions; ``import converter`` re-exports them lazily."""

from converter.api.looking import bench, inspect, replay, verify
from converter.api.road import export, quantize, ship
from converter.api.transfer import copy_weights, refit, restore

__all__ = ["bench", "copy_weights", "export", "inspect", "quantize", "refit", "replay", "restore", "ship", "verify"]
