"""Walk into a photo: ``python run_viewer.py [PHOTO]`` and use the keyboard in the browser."""

from __future__ import annotations

import sys

from viewer.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
