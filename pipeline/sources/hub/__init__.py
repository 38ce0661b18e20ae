"""CelebA from the Hugging Face Hub."""
