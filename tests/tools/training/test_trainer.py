"""What the training of several processes has in common."""

from dataclasses import replace

import pytest

from tests.tools.distributed.threads import together
from tools.config.load import Config
from tools.training.options import TrainingOptions
from tools.training.trainer import require_same_command


@pytest.mark.parametrize(("flag", "value"), [("grad_clip", 5.0), ("resume", "auto")])
def test_processes_with_other_flags_are_named_with_the_flag(flag, value):
    config = Config("same.txt", {}, [])

    def check(group):
        options = TrainingOptions(save_dir=f"of rank {group.rank}")
        require_same_command(group, options, config, data=1)
        if group.rank == 1:
            options = replace(options, **{flag: value})
        require_same_command(group, options, config, data=1)

    errors = together(2, check)
    assert f"rank 1 of 2 and rank 0 do not have the same --{flag.replace('_', '-')}" in str(errors[0])
