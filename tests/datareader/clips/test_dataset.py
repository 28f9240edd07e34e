"""Batches of clips: pickles and videos, workers, labels, and clips that are broken."""

import pickle

import numpy as np
import pytest

from datareader.clips.dataset import ClipDataset
from datareader.clips.settings import ClipSettings
from datareader.dataset import Dataset
from datareader.lists import ListEntry
from tests.datareader.clips.synthetic import (
    TINY,
    encode_jpeg,
    expect_error,
    make_frames,
    open_dataset,
    read_all,
    write_pickle,
)
from tools.errors import DataError


def test_it_has_every_member_of_the_contract(clips):
    assert isinstance(open_dataset(clips), Dataset)


def test_pickles_and_videos_mix_and_are_told_apart_by_content(clips):
    disguised = clips.parent / "p1.pkl"
    disguised.rename(clips.parent / "really a pickle.mp4")
    clips.write_text(clips.read_text().replace("p1.pkl", "really a pickle.mp4"))
    batches = read_all(open_dataset(clips))
    assert [name for batch in batches for name in batch.ids] == ["p0", "v 0", "p1", "v 1", "p2", "v 2"]
    assert np.concatenate([batch.labels for batch in batches]).tolist() == [0, 0, 1, 1, 2, 2]
    frames = np.concatenate([batch.inputs[0] for batch in batches])
    assert frames.shape == (6, 3, 6, 32, 32)
    assert frames.dtype == np.uint8
    for pickled, video in zip(frames[::2].astype(int), frames[1::2].astype(int), strict=True):
        assert np.abs(pickled - video).mean() < 12  # the same frames up to their compression
    assert np.abs(frames[2].astype(int) - frames[4]).mean() > 30


def test_training_batches_depend_on_the_seed_and_not_on_the_workers(clips):
    runs = [
        read_all(open_dataset(clips, training=True), num_workers=workers, seed=seed)
        for workers, seed in ((0, 1), (3, 1), (0, 2))
    ]
    for one, other in zip(runs[0], runs[1], strict=True):
        assert one.ids == other.ids
        np.testing.assert_array_equal(one.inputs[0], other.inputs[0])
    assert any((one.inputs[0] != other.inputs[0]).any() for one, other in zip(runs[0], runs[2], strict=True))


def test_every_bad_clip_is_an_error_that_names_list_line_and_file(clips):
    folder = clips.parent
    frame = encode_jpeg(make_frames(1)[0])
    bad = {
        "empty.mp4": b"",
        "text.mp4": b"not a video at all",
        "cut.pkl": pickle.dumps(("v", 1, [frame]), protocol=4)[:-200],
        "other.pkl": pickle.dumps({"video": 1}),
        "none.pkl": pickle.dumps(("v", 1, [])),
        "noframe.pkl": pickle.dumps(("v", 1, [b"xyz"])),
        "void.pkl": pickle.dumps(("v", 1, [b""])),
        "half.pkl": pickle.dumps(("v", 1, [frame[: len(frame) // 2]])),
        "far.pkl": pickle.dumps(("v", 5, [frame])),
        "unlabelled.pkl": pickle.dumps(("v", None, [frame])),
        "code.pkl": b"cos\nsystem\n(S'true'\ntR.",
        "code4.pkl": pickle.dumps(np.dtype),
    }
    for name, content in bad.items():
        (folder / name).write_bytes(content)
        line = f"{name} 1" if name.endswith("mp4") else name
        (folder / "bad.list").write_text(f"p0.pkl\n{line}\n")
        expect_error(folder / "bad.list", "bad.list line 2", name)


def test_a_video_without_a_label_and_a_label_out_of_range_are_found_before_reading(clips):
    (clips.parent / "x.list").write_text("v 1.mp4\n")
    with pytest.raises(DataError, match=r"x\.list line 1.*no label"):
        open_dataset(clips.parent / "x.list")
    (clips.parent / "x.list").write_text("p0.pkl\nv 1.mp4 5\n")
    with pytest.raises(DataError, match=r"line 2: label 5 .* is not in 0 to 4"):
        open_dataset(clips.parent / "x.list")


def test_inference_needs_no_labels(clips):
    (clips.parent / "x.list").write_text("v 1.mp4\np1.pkl\n")
    (batch,) = read_all(open_dataset(clips.parent / "x.list", labels_needed=False))
    assert batch.ids == ["v 1", "p1"]
    assert batch.labels.tolist() == [-1, 1]


def test_labels_of_another_set_of_classes_do_not_stop_inference(clips):
    """Whether they stand in the list or in a pickle. A video has its label whatever else is in its batch."""
    write_pickle(clips.parent / "far.pkl", make_frames(3), label=5)
    (clips.parent / "x.list").write_text("v 0.mp4 0\np1.pkl\nv 1.mp4 4\np2.pkl 400\nv 2.mp4 573\nfar.pkl\nfar.pkl 3\n")
    batches = read_all(open_dataset(clips.parent / "x.list", labels_needed=False), batch_size=1)
    labels = [None if batch.labels is None else batch.labels.tolist() for batch in batches]
    assert labels == [[0], [1], [4], None, None, None, [3]]
    assert [len(batch) for batch in read_all(open_dataset(clips.parent / "x.list", labels_needed=False))] == [4, 3]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("num_workers", [0, 3])
def test_broken_clips_are_left_out_and_listed_up_to_the_number_allowed(clips, training, num_workers):
    (clips.parent / "v 1.mp4").write_bytes(b"broken")
    (clips.parent / "p2.pkl").write_bytes(b"\x80broken")
    heard = []
    dataset = open_dataset(clips, training=training, skip_broken=2)
    dataset.on_broken = heard.append
    for _ in range(2):  # another epoch neither counts nor tells them again
        batches = read_all(dataset, num_workers=num_workers)
        assert sorted(name for batch in batches for name in batch.ids) == ["p0", "p1", "v 0", "v 2"]
        assert all(len(batch.inputs[0]) == len(batch) for batch in batches)
    assert len(dataset.broken) == 2
    assert not heard  # both were known before the first batch
    assert "v 1.mp4" in dataset.broken[0]
    with pytest.raises(DataError, match=r"v 1\.mp4 .*\(and 1 more in .*clips\.list\); --skip-broken 2 would skip such"):
        open_dataset(clips, training=training, skip_broken=1)


def test_of_a_list_of_which_nothing_can_be_read_there_are_no_batches(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.pkl").write_bytes(b"\x80")
    (tmp_path / "x.list").write_text("0.pkl\n1.pkl\n2.pkl\n")
    expect_error(tmp_path / "x.list", "0.pkl")
    assert read_all(open_dataset(tmp_path / "x.list", skip_broken=3), batch_size=2) == []


def open_alone(path, label=None, training=False, **settings):
    """One file without a list."""
    entries = [ListEntry(str(path), label=label)]
    return ClipDataset(entries, ClipSettings(**TINY, **settings), name=path.name, training=training, skip_broken=0)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("name", "line"), [("v 2.mp4", "v 2.mp4 2"), ("p2.pkl", "p2.pkl")])
def test_one_clip_without_a_list_gives_the_same_batch_as_through_a_list(clips, name, line, training):
    (clips.parent / "one.list").write_text(f"{line}\n")
    (listed,) = read_all(open_dataset(clips.parent / "one.list", training=training))
    (alone,) = read_all(open_alone(clips.parent / name, 2, training))
    np.testing.assert_array_equal(alone.inputs[0], listed.inputs[0])
    assert (alone.ids, alone.labels.tolist()) == (listed.ids, listed.labels.tolist()) == ([name.split(".")[0]], [2])
    assert alone.sources == [str(clips.parent / name)]
    assert listed.sources == [f"{clips.parent / name} ({clips.parent / 'one.list'} line 1)"]


def test_one_video_without_a_list_and_a_label_can_be_inferred(clips):
    (batch,) = read_all(open_alone(clips.parent / "v 1.mp4", labels_needed=False))
    assert (batch.ids, batch.labels) == (["v 1"], None)


def test_errors_of_a_clip_without_a_list_name_the_file_alone(clips):
    path = clips.parent / "v 1.mp4"
    with pytest.raises(DataError) as error:
        open_alone(path)
    assert str(error.value).startswith(f"{path} has no label; ")
    with pytest.raises(DataError) as error:
        open_alone(path, label=5)
    assert str(error.value).startswith(f"label 5 of {path} is not in 0 to 4 (num_classes); ids count from 0")
    path.write_bytes(b"broken")
    (clips.parent / "p1.pkl").write_bytes(pickle.dumps(("v", 1, [b"xyz"])))
    for broken, wrong in ((path, " is not a video ("), (clips.parent / "p1.pkl", " frame 0 is no image that ")):
        with pytest.raises(DataError) as error:
            read_all(open_alone(broken, label=1))
        assert str(error.value).startswith(f"{broken}{wrong}")


def test_it_tells_the_class_of_each_clip_and_how_many_clips_each_class_has(clips):
    """The list's label, else the pickle's; none of a broken pickle, nor of one that is labelled -1."""
    folder, frames = clips.parent, make_frames(1)
    write_pickle(folder / "numpy.pkl", frames, label=np.int64(4))  # which unpickling tells alone
    write_pickle(folder / "none.pkl", frames, label=-1)
    write_pickle(folder / "far.pkl", frames, label=5)
    (folder / "broken.pkl").write_bytes(b"\x80")
    lines = ["v 0.mp4 2", "p0.pkl", "p2.pkl", "p2.pkl 1", "numpy.pkl", "none.pkl", "far.pkl", "broken.pkl", "p1.pkl -1"]
    (folder / "x.list").write_text("\n".join(lines))
    dataset = open_dataset(folder / "x.list", skip_broken=2)
    labels = dataset.record_labels()
    rows = [ids.tolist() for ids in np.split(labels.class_ids, labels.starts[1:-1])]
    assert rows == [[2], [0], [2], [1], [4], [], [], [], []]
    assert dataset.class_counts().tolist() == [1, 1, 2, 0, 1]
    assert open_dataset(folder / "x.list", labels_needed=False, skip_broken=1).class_counts() is None


def test_pictures_are_whole_frames_of_all_parts_of_a_clip(clips):
    dataset = open_dataset(clips)
    for entry, num_frames in zip(dataset.entries, (3, 3, 20, 20, 40, 40), strict=True):
        pictures = dataset.pictures(entry, 4)
        wanted = sorted({(2 * part + 1) * num_frames // 8 for part in range(4)})
        assert list(pictures) == wanted
        frames = make_frames(num_frames, seed=(3, 20, 40).index(num_frames))
        for number, picture in pictures.items():
            assert picture.shape == frames[number].shape
            assert np.abs(picture.astype(int) - frames[number]).mean() < 12


def test_pictures_of_given_numbers_are_those_frames_as_far_as_there_are_such(clips):
    dataset = open_dataset(clips)
    for entry, num_frames in zip(dataset.entries, (3, 3, 20, 20, 40, 40), strict=True):
        pictures = dict(dataset.pictures_at(entry, [2, 0, num_frames - 1, num_frames, 99]))
        assert sorted(pictures) == sorted({0, 2, num_frames - 1})
        frames = make_frames(num_frames, seed=(3, 20, 40).index(num_frames))
        for number, picture in pictures.items():
            assert np.abs(picture.astype(int) - frames[number]).mean() < 12
    assert list(dataset.pictures_at(dataset.entries[0], [])) == []


def test_pictures_of_a_clip_that_has_gone_are_an_error_that_names_its_line(clips):
    dataset = open_dataset(clips)
    (clips.parent / "v 1.mp4").unlink()
    with pytest.raises(DataError, match=r"clips\.list line 5: .*v 1\.mp4 cannot be read"):
        dataset.pictures(dataset.entries[3], 3)
    with pytest.raises(DataError, match=r"clips\.list line 5: .*v 1\.mp4 cannot be read"):
        next(dataset.pictures_at(dataset.entries[3], [0]))
