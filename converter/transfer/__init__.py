"""Move weights and knowledge between graphs, exactly."""
