"""The published code's behaviour, slips included, written from its mathematics.

It is the baseline of the benchmarks, the retrieval strategy ``reference``, what
``vmem.evaluation`` compares association with, and the subject of the golden tests. Nothing else in
the package depends on it.

Point maps become disks in ``surfels`` (downsampling, normals, radii). Disks merge by radius in
``merge``, through the ``octree``; ``grid`` gives the same merge fast. ``render`` draws disks,
``render_fast`` draws the same with compiled loops. ``votes`` counts which views saw what is drawn,
``poses`` measures between poses, and ``context`` chooses the context views from both.
``as_memory`` fills a memory of ours the published way. What only golden tests need (its memory
with undo, its schedule, its alignment) is in ``tests/golden/published``.

Poses are OpenGL camera-to-world unless a name says otherwise, normals point *away* from the camera
that made them, images are 512x288, pixels are sampled at integer coordinates. Source: published
code, commit 39291e4f.
"""
