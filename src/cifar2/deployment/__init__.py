"""A trained network outside of the pipeline: asked about pictures, exported to other programs."""
