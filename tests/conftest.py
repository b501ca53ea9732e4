"""What every test file shares: figures without a screen, property tests without a stopwatch."""

import os

from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "Agg")

settings.register_profile("kit", deadline=None)
settings.load_profile("kit")
