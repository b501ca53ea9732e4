"""Pictures between files and arrays: reading, colour, pairing, and the sample pictures of the kit."""
