"""Ask a memory which views matter for a new camera, why, and what the camera sees of it.

python docs/examples/ask_memory.py
"""

import vmem
from vmem.cameras import MOVES, apply_move
from vmem.formats import samples

session = vmem.open(samples()[0].path, backend="preview", size=128)
for _ in session.walk("a d*2"):
    pass

target = session.camera.moved_to(apply_move(session.camera.c2w, MOVES["a"]))
answer = vmem.ask(session.memory, target, k=3, strategy="votes")
print(answer.summary())
for view, reason in enumerate(answer.reasons):
    print(f"view {view}: {answer.share[view]:.0%} of the votes, {reason}")

seen = vmem.render(session.memory, target)
covered = seen.index >= 0
print(f"{covered.mean():.0%} of the picture is known, mean depth {seen.depth[covered].mean():.2f}")
