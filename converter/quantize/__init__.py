"""From a float graph and its statistics to an integer graph: plan decides, solve finds numbers, insert edits."""
