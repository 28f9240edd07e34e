"""CSVs and class lists of Kinetics, and the videos that they name."""

import pytest

from datareader.class_names import load_class_names
from datareader.media import VIDEO_SUFFIXES
from dataset.kinetics.annotations import VideoFolder, load_annotations, load_class_list
from tests.dataset.kinetics.annotated_videos import HEADER, csv_line
from tools.errors import DataError


def test_names_that_are_told_apart_by_their_numbers_alone_keep_them(tmp_path):
    (tmp_path / "names.txt").write_text("class 0\nclass 1\n")
    for names in (load_class_list(str(tmp_path / "names.txt")), load_class_names(str(tmp_path / "names.txt"), 2)):
        assert names == ["class 0", "class 1"]


def test_ids_that_look_like_numbers_or_nothing_are_text(tmp_path):
    (tmp_path / "a.csv").write_text(HEADER + "NA,NA,1,11,train,0\n\nnull,0012,2,12,train,0\n1e5,1e5,3,13,train,0\n")
    found = [(item.class_name, item.name) for item in load_annotations(str(tmp_path / "a.csv"))]
    assert found == [("NA", "NA_000001_000011"), ("null", "0012_000002_000012"), ("1e5", "1e5_000003_000013")]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is not a CSV"),
        ("label,video\na,b\n", "no column youtube_id"),
        (HEADER, "names no videos"),
        (HEADER + "a,b,1,2,train,0,more\n", "more values than columns"),
        (HEADER + "a,b,1,2,train,0\na,b,1,2,train,0,more\n", "is not a CSV"),
        (HEADER + "a,../b,1,2,train,0\n", "line 2: youtube_id '../b'"),
        (HEADER + "a,b,1,2,train,0\na,b,x,2,train,0\n", "line 3: time_start 'x'"),
        (HEADER + 'a,b,1,2,train,0\na,"b,1,2,train,0\na,c,1,2,train,0\n', "line 3: a quote that opens there does not"),
        (HEADER + 'a,b,1,2,train,0\n"a,b,1,2,train,0\n' * 2, "line 3: a quote that opens there does not close"),
        (HEADER + 'a,b,1,2,"train,0\na,c,1,2,train",0\n', "line 2: a quote that opens there does not close"),
        (HEADER + '"' + "a" * 200_000 + "\n", "line 2: a quote that opens there does not close"),
        ('"' + HEADER + "a,b,1,2,train,0\n" * 99, "line 1: a quote that opens there does not close"),
        ('"' + HEADER + "a,b,1,2,train,0\n" * 99 + '"', "has no column youtube_id"),
        (HEADER + "a,b," + "x" * 999 + ",2,train,0\n", "line 2: time_start 'xxx"),
        (HEADER + '"a\nb",b,1,2,train,0\n', "line 2: a quote that opens there does not close"),
    ],
)
def test_a_csv_that_cannot_be_used_is_told_in_one_line(tmp_path, text, part):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        load_annotations(str(path))
    assert str(error.value).startswith(str(path))
    assert part in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    "name",
    [
        "a b/x_1_y_000007_000017.mp4",
        "a_b/x_1_y_7_17.webm",
        "x_1_y_000007_000017.MKV",
        "deep/er/x_1_y.avi",
        "x_1_y.mp4",
    ],
)
def test_videos_are_found_in_the_usual_layouts(tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    for other in (name, "x_1_y_8_18.mp4", "x.mp4", "x_1_y_000007_000017.txt"):
        (tmp_path / other).touch()
    (tmp_path / "a.csv").write_text(HEADER + csv_line("a b", "x_1_y"))
    (item,) = load_annotations(str(tmp_path / "a.csv"))
    assert VideoFolder([tmp_path], VIDEO_SUFFIXES).find(item) == tmp_path / name


def test_of_two_videos_of_a_name_that_of_the_class_is_taken(tmp_path):
    for folder in ("a", "b", "z"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.mp4").touch()
    (tmp_path / "a.csv").write_text("youtube_id,label\nx,b\n")
    (item,) = load_annotations(str(tmp_path / "a.csv"))
    assert VideoFolder([tmp_path], VIDEO_SUFFIXES).find(item) == tmp_path / "b" / "x.mp4"


def test_a_csv_and_names_of_classes_come_in_the_encodings_that_lists_come_in(tmp_path):
    text = "label,youtube_id\n打太极,a\n"
    (tmp_path / "a.csv").write_bytes(text.replace("\n", "\r\n").encode("utf-16"))
    (item,) = load_annotations(str(tmp_path / "a.csv"))
    assert (item.class_name, item.name) == ("打太极", "a")
    for load in (load_annotations, load_class_list):
        (tmp_path / "a.csv").write_bytes(text.encode("gbk"))
        with pytest.raises(DataError, match=r"a\.csv is not UTF-8 in line 2 \(it looks like GBK\); save it as UTF-8"):
            load(str(tmp_path / "a.csv"))
