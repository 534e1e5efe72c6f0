"""The only Python besides nodes/ that touches ComfyUI's modules."""
