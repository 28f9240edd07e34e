import tests.tuned_paddle  # noqa: F401
from tests.tools.weights.golden_networks import golden, nextvlad  # noqa: F401  (fixtures)
