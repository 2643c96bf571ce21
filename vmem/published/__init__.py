"""The published code's behaviour, slips included, written anew from its mathematics.

It is the subject of the golden tests, the baseline of the benchmarks, the strategy ``reference``
and what ``vmem.evaluation`` compares association with; nothing else in the package depends on it.
Numbers in brackets refer to the steps of the published pipeline: downsampling, normals, surfels ->
``surfels``; merging by radius -> ``octree``, ``merge``, ``grid``; drawing -> ``render``,
``render_fast``; ``votes``; choosing context views -> ``poses``, ``context``; cutting a trajectory
into steps -> ``schedule``; state and undo -> ``memory``; the same choice made from our own memory
-> ``strategy``. The alignment of CUT3R's points with known cameras -> ``registration``,
``alignment``; there poses are OpenCV.

Poses are OpenGL camera-to-world unless a name says otherwise, normals point *away* from the camera
that made them, images are 512x288, pixels are sampled at integer coordinates. Source: published
code, commit 39291e4f.
"""
