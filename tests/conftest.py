"""What holds for every test: how hypothesis searches.

By default it searches anew in each run, so that many runs see more than one. The profile `ci` draws the same examples
each time: whether a change may land depends on the change.
"""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("default", deadline=None)  # two cores are shared: a slow draw proves nothing
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.load_profile("default")
