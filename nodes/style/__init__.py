"""Style transfer as plain tensor functions, testable without ComfyUI.

Owns colour, filters, flow, strokes, palettes and the presets made of them. Does not own the node's
schema, ComfyUI's device choice or its progress bar: those are in `nodes/style_transfer.py`.
Nothing here is imported before a style is used, because it imports torch.
"""
