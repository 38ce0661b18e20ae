"""The commands beside the stages: one file, one Typer command; DVC runs none of them."""
