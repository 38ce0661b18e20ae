"""CelebA as people keep it in a folder."""
