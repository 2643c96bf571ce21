"""The procedural world behind the backend ``world``: how it is laid out, textured, lit and seen."""
