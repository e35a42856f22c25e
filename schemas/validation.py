"""JSON Schemas compiled once, in two profiles; InvalidDocument names the place and the rule."""
