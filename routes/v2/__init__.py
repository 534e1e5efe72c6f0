"""Comfy API v2 at the HTTP edge: the contract's paths, words and shapes over our own services."""
