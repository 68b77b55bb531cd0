"""The search: Ray Tune, Ray Train and Optuna around genimage_core."""

import os

# Under `uv run` Ray would build this project's environment again for every worker. It reads this on import.
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
