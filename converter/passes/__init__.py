"""Rewrites of the float graph: one idea a file; ``pipelines`` says in which order, and why."""
