"""Nets that users bring as files: reading them, telling their layouts apart, and running them on pictures of any size.

Plain torch; which folders are looked into and where a net lies in memory is said by `nodes/style_models.py`. No weights
are shipped and none are downloaded.
"""
