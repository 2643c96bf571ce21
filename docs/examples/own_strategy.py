"""Add a retrieval strategy and compare it with those that are there.

python docs/examples/own_strategy.py
"""

import numpy as np

import vmem
from vmem.formats import samples


@vmem.strategies.register("oldest-seen")
def oldest_seen(evidence: vmem.strategies.Evidence, k: int) -> list[int]:
    """The oldest views that saw at least a tenth of what the targets see."""
    return np.flatnonzero(evidence.coverage >= 0.1)[:k].tolist()


config = vmem.SessionConfig(strategy="oldest-seen", context_views=2)
session = vmem.open(samples()[0].path, backend="preview", size=128, config=config)
for step in session.walk("a*3"):
    print(step.index, step.retrieval)

for name in vmem.strategies.STRATEGIES:
    print(name, vmem.ask(session.memory, session.camera, k=2, strategy=name).order)
