"""What people touch: the predictor, photographs, and the live demo with its server."""
