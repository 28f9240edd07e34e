import tests.tuned_paddle  # noqa: F401
from tests.models.clip_networks import networks  # noqa: F401  (a fixture)
