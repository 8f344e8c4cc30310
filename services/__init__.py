"""Use cases: what the house does, without Flask and without knowing any adapter."""
