"""The search: Ray Tune, Ray Train and Optuna around genimage_core."""
