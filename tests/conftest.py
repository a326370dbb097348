"""Settings every test shares."""

from __future__ import annotations

import os

from hypothesis import settings

# A test passes or fails by what the code does: the same examples on every run, and no clock. To look for new examples,
# run with HYPOTHESIS_PROFILE=explore.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
