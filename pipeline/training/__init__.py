"""Training: the loop, what a step changes, augmentation, checkpoints, runs of many processes."""
