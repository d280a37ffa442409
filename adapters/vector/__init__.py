"""Steering vectors: a direction in the residual stream, added while the model runs."""
