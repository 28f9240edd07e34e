"""What a call that has to fail says."""

import pytest

from tools.errors import CheckpointError


def error_of(function, *arguments, **options):
    with pytest.raises(CheckpointError) as error:
        function(*arguments, **options)
    return str(error.value)
