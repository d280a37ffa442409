"""Sweeps: one setting varied, everything else fixed."""
