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
requests = [step.record.request for step in steps if step.record.request]
log = json.dumps([request.to_json() for request in requests])
print(f"{len(requests)} requests, {len(log):,} characters")

second = vmem.open(photo, backend="preview", seed=7, size=128)
for step, row in zip(steps, json.loads(log), strict=True):
    again = second.step(vmem.StepRequest.from_json(row))
    print(again, "the same frames:", np.array_equal(step.frames, again.frames))
