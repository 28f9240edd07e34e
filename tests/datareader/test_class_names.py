"""Names of classes."""

from types import SimpleNamespace

import pytest

from datareader.class_names import choose_class_names, find_class_names, load_class_names
from tools.config.load import Config
from tools.errors import DataError


def test_class_names_come_from_lines_or_from_a_vocabulary(tmp_path):
    (tmp_path / "v.csv").write_text("Index,TrainVideoCount,Name\n1,9,Cat\n0,8,Dog\n")
    assert load_class_names(str(tmp_path / "v.csv"), 3) == ["Dog", "Cat", ""]
    with pytest.raises(DataError, match=r"v.csv line 2: Index 1 is not in 0 to 0"):
        load_class_names(str(tmp_path / "v.csv"), 1)
    (tmp_path / "w.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="needs the columns Index and Name"):
        load_class_names(str(tmp_path / "w.csv"), 1)
    (tmp_path / "v.csv").write_text("Index,Name\n0,Cat\n0,Dog\n")
    with pytest.raises(DataError, match=r"v.csv line 3: Index 0 is given twice"):
        load_class_names(str(tmp_path / "v.csv"), 2)


def test_a_table_of_something_else_ends_at_its_first_row(tmp_path):
    (tmp_path / "v.csv").write_text("Index,Name\n9,a\n" + '"' + "x" * 200_000)  # the last is no row of a CSV
    with pytest.raises(DataError, match=r"v.csv line 2: Index 9 is not in 0 to 1"):
        load_class_names(str(tmp_path / "v.csv"), 2)
    for text in ("", "Index,Name\n"):
        (tmp_path / "v.csv").write_text(text)
        with pytest.raises(DataError, match="needs the columns Index and Name"):
            load_class_names(str(tmp_path / "v.csv"), 2)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("cat\ndog\n\n \n", ["cat", "dog"]),
        ("cat 0\nblack dog 1\n", ["cat", "black dog"]),
        ("0 cat\n1 black dog\n", ["cat", "black dog"]),
        ("0,cat\n1,black dog\n", ["cat", "black dog"]),
        ("gear 0\ngear 1\n", ["gear 0", "gear 1"]),
        ("0 cat\ndog\n", ["0 cat", "dog"]),
        ("1 cat\n2 dog\n", ["1 cat", "2 dog"]),
    ],
)
def test_ids_beside_names_and_blank_lines_at_the_end_are_left_out(tmp_path, text, names):
    (tmp_path / "names.txt").write_text(text)
    assert load_class_names(str(tmp_path / "names.txt"), 2) == names


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('Index,Name\n0,Cat\n1,"Dog\n2,Bird\n3,Fish\n', 3),
        ('Index,Name\n0,Cat\n1,"Dog\n2,Bird"\n3,Fish\n', 3),
        ('Index,Name\n0,Cat\n1,Dog\n2,Bird\n3,"Fish\n', 5),
        ('Index,Name,Text\n0,Cat,"of\n1,Dog,of\n2,Bird,of"\n3,Fish,of\n', 2),
        ('Index,Name,Text\n0,Cat,"of\ntwo lines"\n1,Dog,"of\n2,Bird,of\n3,Fish,of\n', 4),
        ('Index,Name\n"0,Cat\n1,Dog\n2,Bird\n3,Fish"\n', 2),
        ("Index,Name\n0,Cat\n\n" + '1,"' + "Dog\n" * 99_999, 4),
    ],
)
def test_a_quote_that_is_left_open_swallows_no_classes(tmp_path, text, line):
    (tmp_path / "v.csv").write_text(text)
    for complete in (False, True):
        with pytest.raises(DataError, match=rf"v\.csv (is not a CSV: )?line {line}: ") as error:
            load_class_names(str(tmp_path / "v.csv"), 4, complete=complete)
        assert "\n" not in str(error.value)


def test_descriptions_of_classes_may_have_several_lines(tmp_path):
    text = 'Index,Name,Text\n0,"Cat, tame","a ""pet""\nof 2 kinds, or 3"\n1,Dog\n\n2\n'
    (tmp_path / "v.csv").write_text(text)
    assert load_class_names(str(tmp_path / "v.csv"), 3) == ["Cat, tame", "Dog", ""]
    (tmp_path / "v.csv").write_text(f"{text}2,Bird\n")
    with pytest.raises(DataError, match=r"v\.csv line 7: Index 2 is given twice"):
        load_class_names(str(tmp_path / "v.csv"), 3)
    (tmp_path / "v.csv").write_text(f"Index,Name\n{'x' * 999},a\n")
    with pytest.raises(DataError, match=r"v\.csv line 2: Index x{37}\.\.\. is not in 0 to 2"):
        load_class_names(str(tmp_path / "v.csv"), 3)


ODD_LINE_ENDS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


def test_names_may_hold_what_only_python_takes_for_the_end_of_a_line(tmp_path):
    names = [f"a{end}b" for end in ODD_LINE_ENDS]
    (tmp_path / "names.txt").write_bytes("\n".join(names).encode())
    assert load_class_names(str(tmp_path / "names.txt"), len(names)) == names
    (tmp_path / "names.csv").write_bytes(
        ("Index,Name\n" + "".join(f"{i},{name}\n" for i, name in enumerate(names))).encode()
    )
    assert load_class_names(str(tmp_path / "names.csv"), len(names)) == names


def test_what_holds_no_class_names_is_named(tmp_path):
    expected = "expected a text with one name a line, or a .csv with the columns Index and Name"
    (tmp_path / "map.json").write_text('{"cat": 0}')
    for name, kind in (("map.json", "a JSON text"), (".", "a folder")):
        with pytest.raises(DataError, match=f"is {kind}; {expected}"):
            load_class_names(str(tmp_path / name), 1)


def test_class_names_come_in_the_encodings_that_lists_come_in(tmp_path):
    (tmp_path / "a.txt").write_bytes("猫\r\n狗\r\n".encode("utf-16"))
    assert load_class_names(str(tmp_path / "a.txt"), 2) == ["猫", "狗"]
    (tmp_path / "a.txt").write_bytes("cat\n狗\n".encode("gbk"))
    with pytest.raises(DataError) as error:
        load_class_names(str(tmp_path / "a.txt"), 2)
    assert str(error.value) == (
        f"class names {tmp_path}/a.txt is not UTF-8 in line 2 (it looks like GBK); save it as UTF-8"
    )


def training(filelist, names=None, num_classes=2):
    """What of a config says where the names of a training's classes are."""
    return Config(
        "test",
        {
            "MODEL": SimpleNamespace(num_classes=num_classes),
            "TRAIN": SimpleNamespace(filelist=str(filelist)),
            "INFER": SimpleNamespace(class_names=names and str(names)),
        },
        [],
    )


def test_a_training_takes_the_names_of_its_config_or_those_beside_its_list(tmp_path):
    config = training(tmp_path / "train.list")
    assert find_class_names(config) == (None, None)
    (tmp_path / "class_names.txt").write_text("a\nb\n")
    assert find_class_names(config) == (["a", "b"], None)
    (tmp_path / "mine.txt").write_text("c\nd\n")
    assert find_class_names(training(tmp_path / "train.list", tmp_path / "mine.txt")) == (["c", "d"], None)


def test_names_that_cannot_be_used_keep_no_training_back(tmp_path):
    (tmp_path / "class_names.txt").write_text("only one\n")
    names, refused = find_class_names(training(tmp_path / "train.list"))
    assert names is None
    assert str(refused).startswith(f"class names {tmp_path}/class_names.txt has 1 lines")
    _, refused = find_class_names(training(tmp_path / "train.list", tmp_path / "missing.txt"))
    missing = f"{tmp_path}/missing.txt"
    assert str(refused) == f"class names {missing}: no file or folder {missing}; looked for {missing}"


def test_names_of_a_checkpoint_have_to_be_whole_where_they_are_used(tmp_path):
    own = tmp_path / "class_names.csv"
    own.write_text("Index,Name\n0,a\n")
    with pytest.raises(DataError, match=r"class_names\.csv names 1 of 2 classes; copy it again"):
        choose_class_names(str(own), str(own), 2)
    (tmp_path / "mine.txt").write_text("c\nd\n")
    names, (line,) = choose_class_names(str(tmp_path / "mine.txt"), str(own), 2)
    assert names == ["c", "d"]
    assert line.startswith("not used: class names")
    own.write_text("Index,Name\n1,\n0,a\n")
    assert choose_class_names(None, str(own), 2) == (["a", ""], [])
    assert choose_class_names(None, None, 2) == (None, [])
