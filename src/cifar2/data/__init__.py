"""Where the images come from, and what they are as tensors."""
