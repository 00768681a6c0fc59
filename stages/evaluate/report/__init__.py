"""One page that shows a run and the same as plots: a file for each part of it."""
