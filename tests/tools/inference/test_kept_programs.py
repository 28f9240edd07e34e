"""Kept programs: what is not as it was written, or could be another user's, is never run."""

import json
import os

import pytest

from tests.mutants import mutants
from tests.tools.inference.kept_programs import Small, require_same_answers
from tools.inference.export import PADDLE, exported_program
from tools.inference.predictor import Predictor

FILES = ["model.json", "model.pdiparams", "sums.json"]


@pytest.fixture
def kept(programs, log_lines):
    """A network, and its program."""
    network = Small()
    with exported_program(network, (300,), PADDLE) as folder:
        assert folder.parent == programs
    assert sorted(path.name for path in folder.iterdir()) == FILES
    log_lines.clear()
    return network, folder


def require_made_anew(kept, log_lines, reason):
    """Answers are right, one line says why it was made anew, and the next run uses what was kept."""
    network, folder = kept
    require_same_answers(network, Predictor(network, (300,), "fp32"))
    assert log_lines[0].startswith(f"the program kept in {folder} is not used, and made anew: ")
    assert reason in log_lines[0]
    assert log_lines[1].startswith("exported for the inference engine in ")
    assert len(log_lines) == 2
    assert list(folder.parent.iterdir()) == [folder]
    log_lines.clear()
    require_same_answers(network, Predictor(network, (300,), "fp32"))
    assert log_lines == []


@pytest.mark.parametrize("harm", ["cut", "empty", "unreadable", "gone"])
@pytest.mark.parametrize("name", FILES)
def test_a_kept_program_that_is_cut_or_cannot_be_read_is_made_anew(kept, name, harm, log_lines):
    path = kept[1] / name
    content = path.read_bytes()
    path.unlink()
    if harm == "unreadable":
        path.mkdir()  # as root may read any file
    elif harm != "gone":
        path.write_bytes(content[: 0 if harm == "empty" else -5])
    require_made_anew(kept, log_lines, str(path))


def test_a_kept_program_whose_text_is_too_deep_is_made_anew(kept, log_lines):
    (kept[1] / FILES[0]).write_bytes(b"[" * 200_000)
    require_made_anew(kept, log_lines, FILES[0])


@pytest.mark.parametrize(("number", "seed"), [(8, 0), pytest.param(150, 1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", FILES)
def test_damage_anywhere_in_a_kept_program_changes_no_answer(kept, name, number, seed, log_lines):
    network, folder = kept
    for mutant in mutants((folder / name).read_bytes(), number, seed):
        (folder / name).write_bytes(mutant)
        require_same_answers(network, Predictor(network, (300,), "fp32"))
        assert len(log_lines) in ((0, 2) if name == "sums.json" else (2,))  # a space in the sums may be another
        log_lines.clear()


def test_a_program_of_earlier_versions_without_sums_is_made_anew(kept, log_lines):
    (kept[1] / "sums.json").unlink()
    require_made_anew(kept, log_lines, "sums.json is missing")


def test_the_program_of_other_weights_under_this_name_is_made_anew(kept, log_lines):
    with exported_program(Small(), (300,), PADDLE) as other:
        pass
    for path in kept[1].iterdir():
        path.write_bytes((other / path.name).read_bytes())
    log_lines.clear()
    for path in other.iterdir():
        path.unlink()
    other.rmdir()
    require_made_anew(kept, log_lines, "sums.json is of another program")


@pytest.mark.parametrize("name", ["", *FILES])
def test_a_program_that_others_could_have_written_is_made_anew(kept, name, log_lines):
    (kept[1] / name).chmod(0o777 if not name else 0o664)
    require_made_anew(kept, log_lines, f"{kept[1] / name} can be written by others")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("name", ["", *FILES])
def test_a_program_of_another_user_is_made_anew(kept, name, log_lines):
    os.chown(kept[1] / name, 1234, -1)
    require_made_anew(kept, log_lines, f"{kept[1] / name} belongs to another user (number 1234)")


def test_a_link_in_place_of_a_program_is_not_followed(kept, log_lines, tmp_path):
    _, folder = kept
    (folder / "model.json").rename(tmp_path / "elsewhere.json")
    (folder / "model.json").symlink_to(tmp_path / "elsewhere.json")
    require_made_anew(kept, log_lines, f"{folder / 'model.json'} is a link")


def test_a_folder_that_others_can_write_is_neither_read_nor_written(kept, log_lines):
    network, folder = kept
    sums = (folder / "sums.json").read_bytes()
    folder.parent.chmod(0o777)
    require_same_answers(network, Predictor(network, (300,), "fp32"))
    assert log_lines[0] == (
        f"{folder.parent} can be written by others (mode 777): no program in it is used or kept; chmod go-w mends its "
        "mode, PADDLE_VIDEO_PROGRAMS names another"
    )
    assert log_lines[1].startswith("exported for the inference engine in ")
    assert (folder / "sums.json").read_bytes() == sums
    folder.parent.chmod(0o1777)  # as /tmp, where others can put something and change nothing
    log_lines.clear()
    require_same_answers(network, Predictor(network, (300,), "fp32"))
    assert log_lines == []


def test_the_usual_folder_is_closed_to_others(kept, log_lines, tmp_path, monkeypatch):
    monkeypatch.delenv("PADDLE_VIDEO_PROGRAMS")
    monkeypatch.setenv("HOME", str(tmp_path))
    usual = tmp_path / ".paddle" / "programs"
    usual.mkdir(parents=True)
    usual.chmod(0o775)  # as earlier versions made it where the umask is 002
    with exported_program(kept[0], (300,), PADDLE) as program:
        assert program.parent == usual
    assert usual.stat().st_mode & 0o777 == 0o755
    assert log_lines[0] == f"{usual} can be written by others (mode 775): it is closed to them now"


def test_a_program_is_written_so_that_no_other_user_can_change_it(programs):
    before = os.umask(0)
    try:
        with exported_program(Small(), (300,), PADDLE) as program:
            paths = [programs, program, *program.iterdir()]
            assert [path.stat().st_mode & 0o022 for path in paths] == [0] * 5
            assert json.loads((program / "sums.json").read_text())["program"] == program.name
    finally:
        os.umask(before)
