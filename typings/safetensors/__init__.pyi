# safetensors comes with ComfyUI; what is used of it.
