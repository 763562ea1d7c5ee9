"""Looking at a machine, its data and its cluster before a run does."""
