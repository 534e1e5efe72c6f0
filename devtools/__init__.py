"""What `dev.py` does: set up a development ComfyUI, serve it, run the tests. Standard library only, not part of the pack."""
