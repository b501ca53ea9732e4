"""``python -m mambadfuse`` is the command ``mambadfuse``."""

import sys

from mambadfuse.cli import main

sys.exit(main())
