"""From two images to one: the trained network and what surrounds it, and fusions without a network."""
