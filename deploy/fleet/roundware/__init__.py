"""Simulated Roundware clients of three generations, and the truth about what they did."""
