"""Faces that this project draws itself, under the label statistics of CelebA."""
