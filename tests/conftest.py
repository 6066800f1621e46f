"""What every test starts from. Leaves out: fixtures, which lie with their area."""

import os

# pytest-xdist sets it in its workers, and tables would be cut to 80 columns there only.
os.environ.pop("COLUMNS", None)
