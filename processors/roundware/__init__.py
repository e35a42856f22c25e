"""PURE: the second dialect's visits, from records to rows and to what its lists are answered from."""
