"""The networks of the zoo. Importing this package makes every spec known; none of it needs Paddle."""

from models.attention_cluster import spec as _attention_cluster  # noqa: F401  (registers itself)
from models.attention_lstm import spec as _attention_lstm  # noqa: F401
from models.nextvlad import spec as _nextvlad  # noqa: F401
from models.stnet import spec as _stnet  # noqa: F401
from models.tsn import spec as _tsn  # noqa: F401
