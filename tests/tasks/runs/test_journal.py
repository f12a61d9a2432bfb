"""The journal of answers."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixtrack.configs.errors import UserError
from pixtrack.tasks.records import Answer
from pixtrack.tasks.runs import journal as journals
from pixtrack.tasks.runs.journal import Journal, read_answers, read_fingerprint

FINGERPRINT = "f" * 64


def answer(index: int, text: str = "42", reason: str = "stop") -> Answer:
    return Answer(index, text, reason, 100, 90, 3, 0.5, 0.75)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "answers.jsonl"


def write(path: Path, *answers: Answer) -> None:
    with Journal(path, FINGERPRINT) as journal:
        for each in answers:
            journal.append(each)


def test_what_was_appended_is_read_back_by_index(path: Path) -> None:
    answers = [
        answer(7, "twelve"),
        answer(3, "", "length"),
        answer(5, "line\nfeed \u2028 é 総額 \0"),
    ]
    write(path, *answers)
    assert read_answers(path) == {each.index: each for each in answers}
    with Journal(path, FINGERPRINT) as journal:
        assert journal.answers() == read_answers(path)
        assert not journal.repaired
    assert read_fingerprint(path) == FINGERPRINT


def test_an_answer_is_on_disk_when_append_returns(path: Path) -> None:
    with Journal(path, FINGERPRINT) as journal:
        journal.append(answer(1))
        assert read_answers(path) == {1: answer(1)}


def test_a_run_goes_on_where_it_stopped(path: Path) -> None:
    write(path, answer(1))
    write(path, answer(2))
    assert set(read_answers(path)) == {1, 2}


@settings(deadline=None, max_examples=60)  # fsync takes as long as the disk takes
@given(cut=st.integers(min_value=0))
def test_a_last_line_torn_anywhere_is_repaired_and_nothing_else_is_lost(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("torn") / "answers.jsonl"
    write(path, answer(1), answer(2), answer(3, "é総"))
    data = path.read_bytes()
    kept = cut % (len(data) + 1)
    path.write_bytes(data[:kept])
    whole = max(data[:kept].count(b"\n") - 1, 0)
    assert len(read_answers(path)) == whole
    with Journal(path, FINGERPRINT) as journal:
        assert set(journal.answers()) == set(range(1, whole + 1))
        assert journal.repaired == (kept > 0 and data[kept - 1 : kept] != b"\n")
        journal.append(answer(9))
    assert set(read_answers(path)) == {*range(1, whole + 1), 9}
    assert read_fingerprint(path) == FINGERPRINT


def test_zeros_left_by_a_crash_of_the_machine_are_cut(path: Path) -> None:
    write(path, answer(1))
    with path.open("ab") as file:
        file.write(b"\0" * 4096)
    write(path, answer(2))
    assert set(read_answers(path)) == {1, 2}


@pytest.mark.parametrize("left", [b"\0" * 4096, b"{", b'{"journal":1,"finger'])
def test_a_journal_whose_header_never_reached_the_disk_is_begun_anew(
    path: Path, left: bytes
) -> None:
    path.parent.mkdir()
    path.write_bytes(left)
    assert read_answers(path) == {} and read_fingerprint(path) is None
    write(path, answer(1))
    assert read_fingerprint(path) == FINGERPRINT and set(read_answers(path)) == {1}


@pytest.mark.parametrize("stale", [b"xyz\n", b"[1, 2]\n", b'{"index": 3, "te\n', b"xyz\n\0\0\n7\n"])
def test_stale_bytes_that_look_like_a_line_are_cut(path: Path, stale: bytes) -> None:
    write(path, answer(1))
    with path.open("ab") as file:
        file.write(stale)
    write(path, answer(2))
    assert set(read_answers(path)) == {1, 2}


def test_a_failure_never_takes_the_place_of_a_final_answer(path: Path) -> None:
    write(path, answer(1, "", "error"), answer(1, "kept"))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[1]]))  # as a merge of two data homes may leave it
    assert read_answers(path)[1].text == "kept"


def test_a_system_that_takes_a_few_bytes_at_a_time_gets_the_whole_line(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.write
    with Journal(path, FINGERPRINT) as journal, monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, data: whole(file, data[:7]))
        journal.append(answer(1, "x" * 100))
        patch.undo()
        journal.append(answer(2))
    assert read_answers(path) == {1: answer(1, "x" * 100), 2: answer(2)}


def test_a_journal_of_a_later_version_is_refused(path: Path) -> None:
    write(path, answer(1))
    path.write_text(path.read_text().replace('"journal":1', '"journal":2'))
    with pytest.raises(UserError, match="journal format 2, this pixtrack reads 1"):
        read_answers(path)


def test_a_file_system_without_locks_is_called_by_name(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_file: int) -> bool:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(journals, "lock_descriptor", refuse)
    with pytest.raises(UserError, match=r"answers\.jsonl: cannot be locked .No locks.*local disk"):
        write(path, answer(1))


def test_a_closed_journal_takes_nothing(path: Path) -> None:
    with Journal(path, FINGERPRINT) as journal:
        pass
    with pytest.raises(ValueError, match=r"answers\.jsonl: the journal is closed"):
        journal.append(answer(1))


def test_a_damaged_line_in_the_middle_is_named(path: Path) -> None:
    write(path, answer(1), answer(2), answer(3))
    lines = path.read_text().splitlines()
    lines[2] = lines[2][:20]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match=r"answers\.jsonl:3: damaged line .* remove it"):
        read_answers(path)
    with pytest.raises(UserError, match=r"answers\.jsonl:3"), Journal(path, FINGERPRINT):
        pass


def test_another_runs_journal_is_refused(path: Path) -> None:
    write(path, answer(1))
    both = r"another run \(fingerprint f{12}, this run's is 0{12}\)"
    with pytest.raises(UserError, match=both), Journal(path, "0" * 64):
        pass
    assert set(read_answers(path)) == {1}


@pytest.mark.parametrize("text", ["precious notes", "precious\nnotes\n", '{"index": 1}\n', "[]\n"])
def test_a_file_that_is_no_journal_is_refused_and_kept(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(UserError, match="not a journal"), Journal(path, FINGERPRINT):
        pass
    assert path.read_text() == text


def test_a_final_answer_replaces_a_passing_failure_and_stays(path: Path) -> None:
    write(path, answer(1, reason="error"), answer(1, "42"))
    assert read_answers(path)[1].text == "42"
    write(path, answer(2, reason="error"), answer(2, "", reason="error"))
    assert read_answers(path)[2].finish_reason == "error"


def test_a_second_final_answer_is_an_error_of_the_caller(path: Path) -> None:
    with Journal(path, FINGERPRINT) as journal:
        journal.append(answer(1))
        with pytest.raises(ValueError, match="has its answer already"):
            journal.append(answer(1))


def test_one_writer_at_a_time(path: Path) -> None:
    with (
        Journal(path, FINGERPRINT),
        pytest.raises(UserError, match="another process is answering"),
        Journal(path, FINGERPRINT),
    ):
        pass
    write(path, answer(1))


def test_an_answer_key_of_a_later_version_is_ignored(path: Path) -> None:
    write(path, answer(1))
    with path.open("a") as file:
        file.write(json.dumps({"index": 2, "text": "", "finish_reason": "stop", "new": 1}) + "\n")
    assert set(read_answers(path)) == {1, 2}


def test_no_journal_has_no_answers(path: Path) -> None:
    assert read_answers(path) == {}
    assert read_fingerprint(path) is None


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        write(tmp_path / "answers.jsonl", answer(1))


def test_a_full_disk_leaves_no_half_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, answer(1))
    whole = os.write

    def full(file: int, data: bytes) -> int:
        if len(data) > 20:
            return whole(file, data[:-20])
        raise OSError(errno.ENOSPC, "No space left on device")

    with Journal(path, FINGERPRINT) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(
                UserError, match=r"answers\.jsonl: cannot be written .No space left"
            ):
                journal.append(answer(2))
        journal.append(answer(3))
    assert set(read_answers(path)) == {1, 3}


def test_a_killed_writer_loses_no_answer_and_frees_the_lock(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pixtrack.tasks.runs.journal import Journal\n"
        "from pixtrack.tasks.records import Answer\n"
        f"with Journal(Path({str(path)!r}), {FINGERPRINT!r}) as journal:\n"
        "    for index in range(10**6):\n"
        "        journal.append(Answer(index, 'x' * 500, 'stop')); print(index, flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    first = child.stdout.readline()  # by then it writes, however long it took to start
    time.sleep(0.2)
    os.kill(child.pid, signal.SIGKILL)
    last_said = int((first + child.stdout.read()).rsplit("\n", 2)[-2])
    child.wait()
    with Journal(path, FINGERPRINT) as journal:
        assert set(range(last_said + 1)) <= set(journal.answers())


def test_ten_thousand_answers_are_read_in_seconds(path: Path) -> None:
    write(path, *(answer(index) for index in range(10_000)))
    start = time.perf_counter()
    assert len(read_answers(path)) == 10_000
    assert time.perf_counter() - start < 20  # a fraction of a second on an idle machine
