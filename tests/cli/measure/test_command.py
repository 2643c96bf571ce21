"""``doctor --measure`` from the command line: what it prints and writes, and how it refuses."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmem.__main__ import main
from vmem.cli.measure import command
from vmem.cli.measure.record import SCHEMA, Row
from vmem.cli.measure.runner import Section

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def run(monkeypatch, capfd, tmp_path):
    """Run ``doctor`` in this process and an empty folder; (exit code, stdout, stderr)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["vmem", "doctor", *arguments])
        capfd.readouterr()
        try:
            code = main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capfd.readouterr()
        return code, out, err

    return run


REHEARSAL = ["--measure", "--device", "cpu", "--tiny"]


def test_a_rehearsal_writes_what_it_prints(run, tmp_path):
    variables = {name: value for name, value in os.environ.items() if name.startswith("VMEM_")}
    code, out, err = run(*REHEARSAL, "--sections", "machine", "speed")
    assert code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["vmem-measure.json"]
    record = json.loads((tmp_path / "vmem-measure.json").read_text())
    assert (record["schema"], record["finished"]) == (SCHEMA, True)
    assert set(record) == {"schema", "finished", "versions", "hardware", "options", "sections"}
    # Weights come with the section that needs them.
    assert [section["section"] for section in record["sections"]] == ["machine", "weights", "speed"]
    for section in record["sections"]:
        assert section["state"] == "done"
        assert f"{section['section']}: done after {section['seconds']:.0f} s" in err
        assert all(row["name"] in out for row in section["rows"])
    assert record["options"]["sections"] == "machine speed"
    for word in (str(tmp_path), str(Path.home())):
        assert word not in json.dumps(record)
    now = {name: value for name, value in os.environ.items() if name.startswith("VMEM_")}
    assert now == variables


def with_sections(monkeypatch, **rows) -> None:
    made = tuple(Section(name, f"about {name}", call, 1.0) for name, call in rows.items())
    monkeypatch.setattr(command, "SECTIONS", made)


def good(bench: object) -> Iterator[Row]:
    yield Row("good row", {"s": 1.5})


def bad(bench: object) -> Iterator[Row]:
    yield Row("row before", {"s": 2.5})
    raise RuntimeError("it broke in /data/ann/file.py")


def interrupted(bench: object) -> Iterator[Row]:
    yield Row("row before", {"s": 2.5})
    raise KeyboardInterrupt


def test_a_failed_section_is_recorded_and_the_next_goes_on(run, tmp_path, monkeypatch):
    with_sections(monkeypatch, bad=bad, good=good)
    code, out, err = run(*REHEARSAL, "--out", "m.json")
    assert code == 1
    first, second = json.loads((tmp_path / "m.json").read_text())["sections"]
    assert (first["state"], second["state"]) == ("failed", "done")
    assert first["note"] == "RuntimeError: it broke in .../file.py"
    assert first["rows"] == [{"name": "row before", "s": 2.5}]
    assert "good row" in out
    assert "written to m.json" in err


def test_an_interrupt_writes_what_there_is(run, tmp_path, monkeypatch):
    with_sections(monkeypatch, good=good, stopped=interrupted, never=bad)
    code, out, err = run(*REHEARSAL, "--out", "m.json")
    assert code == 130
    record = json.loads((tmp_path / "m.json").read_text())
    assert not record["finished"]
    assert [section["state"] for section in record["sections"]] == ["done", "interrupted"]
    assert [len(section["rows"]) for section in record["sections"]] == [1, 1]
    assert "stopped: what was measured until then is in m.json" in err
    assert "good row" in out


def test_no_section_begins_without_time(run, tmp_path, monkeypatch):
    with_sections(monkeypatch, good=good)
    code, _, err = run(*REHEARSAL, "--out", "m.json", "--budget", "1e-9")
    assert code == 0
    assert "good: skipped after 0 s: no time left" in err


def test_a_file_that_is_there_is_not_overwritten(run, tmp_path, monkeypatch):
    with_sections(monkeypatch, good=good)
    (tmp_path / "vmem-measure.json").write_text("mine")
    code, out, err = run(*REHEARSAL)
    assert (code, out) == (1, "")
    assert err == (
        "error: vmem-measure.json is there already and is not overwritten: choose another file "
        "with --out\n"
    )
    assert (tmp_path / "vmem-measure.json").read_text() == "mine"


REFUSED = [
    (["--measure", "--device", "cuda:99"], "nothing to measure here"),
    (["--measure", "--device", "tpu"], "unknown device 'tpu'"),
    (["--measure", "--device", "cpu"], "take hours on a CPU: `--device cpu --tiny` rehearses"),
    ([*REHEARSAL, "--sections", "luck"], "no section luck to measure: use machine, attention"),
    ([*REHEARSAL, "--budget", "0"], "the budget must be a number of seconds above 0, got 0"),
    ([*REHEARSAL, "--budget", "nan"], "the budget must be a number of seconds above 0, got nan"),
    ([*REHEARSAL, "--out", "missing/m.json"], "cannot write missing/m.json"),
    (["--tiny", "--budget", "5"], "only with --measure: --budget, --tiny"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_bad_input_is_refused_in_one_line(run, tmp_path, arguments, message):
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_the_help_names_every_section(run):
    code, out, _ = run("--help")
    assert code == 0
    words = out.replace("│", " ").split()
    assert {section.name for section in command.SECTIONS} <= {word.strip(".,") for word in words}
