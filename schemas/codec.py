"""Bytes <-> contract types: the only file that parses JSON."""
