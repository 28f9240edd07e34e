"""YouTube-8M pickles of full width, opened and read to batches; records that are broken on purpose."""

import pickle

import pytest

from datareader.features.dataset import FeatureDataset
from datareader.features.inputs import SegmentFrames
from datareader.features.records import Expected
from datareader.loader import EvaluationLoader, TrainingLoader
from tools.errors import DataError

EXPECTED = Expected(("rgb", "audio"), (1024, 128), num_classes=12)


def open_list(path, training=False, skip_broken=0, expected=EXPECTED, **options):
    return FeatureDataset(str(path), expected, SegmentFrames(8), training=training, skip_broken=skip_broken, **options)


def batches_of(dataset, batch_size=8, num_workers=0, epoch=0, start=0, seed=0):
    options = {"num_workers": num_workers, "as_float": False, "seed": seed}
    if not dataset.training:
        return list(EvaluationLoader(dataset, batch_size, **options).epoch())
    steps = TrainingLoader(dataset, batch_size, **options).epoch(epoch, start)
    return [batch for (batch,) in steps]


def ids_of(batches):
    return [video for batch in batches for video in batch.ids]


def error_of(function, *arguments, **options):
    with pytest.raises(DataError) as error:
        function(*arguments, **options)
    return str(error.value)


def break_record(path, position, **change):
    records = pickle.loads(path.read_bytes())
    records[position] |= change
    path.write_bytes(pickle.dumps(records, protocol=4))
