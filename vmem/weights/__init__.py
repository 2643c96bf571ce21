"""Where the released weights are, how they get here, and how they are read without running them."""
