"""Two small synthetic worlds, and the light and heat that leave them."""
