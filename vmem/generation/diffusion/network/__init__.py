"""The multi-view UNet of the released checkpoint."""
