"""Record the requests of a walk as JSON and make the same walk again from them, bit for bit.

python docs/examples/replay.py
"""

import json

import numpy as np

import vmem
from vmem.formats import samples

photo = samples()[0].path
first = vmem.open(photo, backend="preview", seed=7, size=128)
steps = list(first.walk("w a*2"))
log = json.dumps([step.record.request.to_json() for step in steps])
print(f"{len(steps)} requests, {len(log):,} characters")

second = vmem.open(photo, backend="preview", seed=7, size=128)
for step, row in zip(steps, json.loads(log), strict=True):
    again = second.step(vmem.StepRequest.from_json(row))
    print(again, "the same frames:", np.array_equal(step.frames, again.frames))
