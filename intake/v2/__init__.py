"""Comfy API v2 as use cases on our own services: what the contract asks for and ours say otherwise."""
