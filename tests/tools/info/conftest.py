"""Cards are built with Paddle."""

from tests.tuned_paddle import paddle  # noqa: F401
