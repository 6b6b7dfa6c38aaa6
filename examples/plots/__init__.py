"""Pictures of runs: learning curves, and a map of the joint space."""
