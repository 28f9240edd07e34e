import tests.tuned_paddle  # noqa: F401
