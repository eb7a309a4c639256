"""How long to fuzz: shortly with every test run, for as long as you like with ``scripts/fuzz``."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "fuzz",
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "150")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("fuzz")
