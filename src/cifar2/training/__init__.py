"""What decides the weights of a trained network."""
