"""The outer ring: which process, on which log, with which settings."""
