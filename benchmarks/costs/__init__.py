"""What generating, steering and scoring cost, as ratios of times in one run."""
