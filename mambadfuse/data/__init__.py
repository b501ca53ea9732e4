"""Images between files and arrays: reading, colour, pairing, and the sample images of the kit."""
