"""Settings for .ci/mutants, which leaves out the conftest.py above, since the core needs no conda."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

# All it asks is whether a test fails: few examples, always the same, and no search for a smaller one.
settings.register_profile(
    "mutants",
    deadline=None,
    database=None,
    derandomize=True,
    max_examples=10,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
