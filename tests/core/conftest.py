"""Settings for .ci/mutants, which leaves out the conftest.py above, since the core needs no conda."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, is_hypothesis_test, settings

PROFILE = "mutants"

# All it asks is whether a test fails: few examples, always the same, and no search for a smaller one.
settings.register_profile(
    PROFILE,
    deadline=None,
    database=None,
    derandomize=True,
    max_examples=10,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have the quick tests come first there: a mutant's run ends with the first test that fails."""
    if config.getoption("--hypothesis-profile") == PROFILE:
        items.sort(key=lambda item: isinstance(item, pytest.Function) and is_hypothesis_test(item.obj))
