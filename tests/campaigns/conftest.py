"""The campaigns' own modules, for tests of their parts and short samples of them."""

import sys
from pathlib import Path

CAMPAIGNS = Path(__file__).parents[2] / "campaigns"
sys.path.insert(0, str(CAMPAIGNS))
