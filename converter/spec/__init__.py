"""Data only: what a grid, a recipe, a target, a plan, a report and a bundle are. Standard library and numpy."""
