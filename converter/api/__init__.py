"""The verbs of the product as Python functions; ``import converter`` re-exports them lazily."""

from converter.api.looking import bench, inspect, replay, verify
from converter.api.road import export, quantize, ship
from converter.api.transfer import clone, diff, refit

__all__ = ["bench", "clone", "diff", "export", "inspect", "quantize", "refit", "replay", "ship", "verify"]
