"""Walk into a photo and write the walk to a folder.

python docs/examples/walk_and_export.py [FOLDER]
"""

import sys
from pathlib import Path

import vmem
from vmem.formats import samples

out = Path(sys.argv[1] if len(sys.argv) > 1 else "out")
session = vmem.open(samples()[0].path, backend="preview", seed=0, size=128)
for step in session.walk("w a*2"):
    print(step.index, step.frames.shape, step.retrieval.order)

session.undo()  # session.redo() would make the step again, bit for bit
session.export("transforms", out / "transforms.json")
session.export("surfels", out / "surfels.ply")
print(session)
