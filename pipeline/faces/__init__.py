"""Find the faces of ordinary photographs and bring each into CelebA's frame."""
