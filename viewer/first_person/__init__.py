"""Walking through the picture: stored views as textured meshes, drawn by the page itself."""
