"""Images to latents and embeddings and back, and their weights."""
