"""Pictures of a study: history, parallel coordinates, slice, importance, learning curves, Pareto front."""
