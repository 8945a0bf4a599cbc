"""The schema, step by step. Steps run forward only."""
