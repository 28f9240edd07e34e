"""The report as text."""

import json
import sys

from tests.tools.doctor.reports import append_lines
from tools.doctor import __main__ as doctor


def test_the_text_says_what_the_json_does_and_names_the_first_of_many(features, monkeypatch, capsys):
    append_lines(features / "data/train.list", [f"gone{i}.pkl" for i in range(7)])
    monkeypatch.setattr(sys, "argv", ["doctor", "--config=tiny.txt", "--json=out/report.json"])
    assert doctor.main() == 1
    text = capsys.readouterr().out
    report = json.loads((features / "out/report.json").read_text())
    rows = {line[: len("entries   ")].strip(): line.split() for line in text.splitlines()}
    assert rows["entries"][1:] == [f"{report['sections'][name]['entries']}" for name in report["sections"]]
    assert rows["missing"][1:] == ["7", "-", "-", "-"]
    assert "[TRAIN] missing: 7\n  data/train.list line 4: no file gone0.pkl" in text
    assert "and 4 more (--json has all)" in text
    assert len(report["findings"]) == report["sections"]["TRAIN"]["faults"]["missing"] == 7
    monkeypatch.setattr(sys, "argv", ["doctor", "--config=tiny.txt", "--json=-"])
    assert doctor.main() == 1
    assert json.loads(capsys.readouterr().out)["findings"] == report["findings"]
