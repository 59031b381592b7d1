"""Results on disk, what several of them mean together, and pictures of them."""
