"""Speed and memory, as ratios measured in one run: ``python -m benchmarks`` or ``make bench``."""

import mambadfuse as mambadfuse  # before PyTorch: it decides how worker threads wait
