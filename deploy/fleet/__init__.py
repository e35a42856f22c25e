"""Simulated players with a ground truth of their own, and the comparison of every report row with it."""
