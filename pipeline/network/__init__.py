"""The network: its backbone and heads, the weights it starts from, and how it is run."""
