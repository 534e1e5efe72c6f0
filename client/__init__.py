"""The command line ``expeditor`` and a small client for programs. Talks HTTP only: ComfyUI never imports this room."""
