"""python -m tools.weights, without a process of its own."""

from tools.weights.__main__ import convert, parse_args, show


def run_tool(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["weights", *map(str, arguments)])
    options = parse_args()
    show(options) if options.command == "show" else convert(options)
    return capsys.readouterr().out
