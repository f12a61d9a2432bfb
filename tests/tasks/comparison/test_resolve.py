from __future__ import annotations

from pathlib import Path

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.tasks.comparison.resolve import resolve_run, resolve_runs, stored_runs
from pixtrack.tasks.records import Answer
from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.runs.journal import Journal
from tests.doubles.synthetic_runs import DatasetFactory


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("home"))
    docs = DatasetFactory(home, questions=6, images=2)
    docs.run("alpha", created="2026-01-01T00:00:00+00:00")
    docs.run("alpha", prompt="long", created="2026-01-02T00:00:00+00:00")
    docs.run("beta", created="2026-01-03T00:00:00+00:00")
    charts = DatasetFactory(home, name="charts", questions=6, images=2)
    charts.run("alpha", created="2026-01-04T00:00:00+00:00")
    unscored = charts.run("beta", created="2026-01-05T00:00:00+00:00")
    unscored.scores_file.unlink()
    return home


def test_latest_is_the_most_recently_active_run(home: Home) -> None:
    assert resolve_run("latest", home).record.model == "beta"
    assert resolve_run("latest", home).record.dataset == "charts"


def test_latest_scored_run_passes_over_an_unfinished_one(home: Home) -> None:
    run = resolve_run("latest", home, scored=True)
    assert (run.record.model, run.record.dataset) == ("alpha", "charts")


def test_every_form_of_a_reference_finds_the_same_run(home: Home) -> None:
    run = resolve_run("beta@docvqa_val", home)
    forms = [
        run.record.name,
        run.record.fingerprint[:8],
        run.record.fingerprint,
        run.record.mlflow_run_id or "",
        str(run.directory.path),
        str(run.directory.record_file),
        "Beta@docvqa_val@short",
        "latest@docvqa_val",
    ]
    for form in forms:
        assert resolve_run(form, home).directory.path == run.directory.path, form


def test_model_at_dataset_is_its_latest_run_and_a_prompt_narrows_it(home: Home) -> None:
    assert resolve_run("alpha@docvqa_val", home).record.prompt == "long"
    assert resolve_run("alpha@docvqa_val@short", home).record.prompt == "short"


def test_a_later_trial_run_does_not_stand_in_for_the_whole_one(home: Home) -> None:
    trial = DatasetFactory(home, questions=6, images=2).run("beta", limit=2, created="2027")
    try:
        assert resolve_run("beta@docvqa_val", home).record.limit is None
        assert resolve_run("latest", home).record.limit == 2
    finally:
        trial.record_file.unlink()


def test_unknown_reference_offers_the_nearest(home: Home) -> None:
    with pytest.raises(UserError, match=r"Did you mean 'alpha@docvqa_val'"):
        resolve_run("alpa@docvqa_val", home)


def test_ambiguous_prefix_is_refused(home: Home) -> None:
    for run in stored_runs(home):
        record = run.record.model_copy(update={"fingerprint": "feedfacefeed" + run.record.name})
        run.directory.write_record(record)
    try:
        with pytest.raises(UserError, match=r"fits 5 runs .* more characters"):
            resolve_run("feedface", home)
    finally:
        for run in stored_runs(home):
            original = run.record.name.rsplit("--", 1)[1] + "0" * 52
            run.directory.write_record(run.record.model_copy(update={"fingerprint": original}))


def test_a_model_alone_stands_for_its_runs_on_the_named_datasets(home: Home) -> None:
    found = resolve_runs(["alpha"], home, ["docvqa_val", "charts"])
    assert [run.record.dataset for run in found] == ["docvqa_val", "charts"]


def test_models_alone_meet_on_the_datasets_they_share(home: Home) -> None:
    found = resolve_runs(["alpha", "beta"], home)
    assert [(run.record.model, run.record.dataset) for run in found] == [
        ("alpha", "docvqa_val"),
        ("beta", "docvqa_val"),
    ]


def test_a_missing_cell_is_named(home: Home) -> None:
    with pytest.raises(UserError, match="beta: no scored run on charts"):
        resolve_runs(["alpha", "beta"], home, ["charts"])


def test_the_same_run_named_twice_counts_once(home: Home) -> None:
    assert len(resolve_runs(["beta@docvqa_val", "beta"], home, ["docvqa_val"])) == 1


def test_unscored_run_is_refused_with_the_remedy(home: Home) -> None:
    name = resolve_run("beta@charts", home).record.name
    with pytest.raises(UserError, match=r"has no scores \(status .*`pixtrack eval`"):
        resolve_run(name, home, scored=True)


@pytest.fixture
def being_asked(tmp_path: Path) -> Home:
    """A scored run of alpha, and one of gamma that is being asked: 2 of 6 questions are answered."""
    home = Home(tmp_path)
    docs = DatasetFactory(home, questions=6, images=2)
    docs.run("alpha")
    run = docs.run("gamma")
    for file in (run.scores_file, run.summary_file, run.journal_file):
        file.unlink(missing_ok=True)
    record = run.read_record()
    assert record is not None
    run.write_record(record.model_copy(update={"status": "running"}))
    run.requests_file.write_text("{}\n" * 6)
    with Journal(run.journal_file, record.fingerprint) as journal:
        for index in range(2):
            journal.append(Answer(index, "an answer", "stop"))
    return home


@pytest.mark.parametrize("reference", ["gamma", "gamma@docvqa_val", "gamma@docvqa_val@short"])
def test_a_run_that_is_being_asked_is_named_with_how_far_it_is(
    being_asked: Home, reference: str
) -> None:
    with pytest.raises(UserError, match=r"is being asked \(2 of 6 questions are answered\)"):
        resolve_runs(["alpha@docvqa_val", reference], being_asked)


@pytest.mark.parametrize("datasets", [[], ["docvqa_val"]])
def test_models_alone_say_so_too(being_asked: Home, datasets: list[str]) -> None:
    DatasetFactory(being_asked, name="charts", questions=6, images=2).run("gamma")
    with pytest.raises(UserError, match=r"gamma.* is being asked \(2 of 6"):
        resolve_runs(["alpha", "gamma"], being_asked, datasets)


def test_path_without_a_run_is_refused(home: Home, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no run\.json"):
        resolve_run(str(tmp_path), home)


def test_damaged_record_does_not_hide_the_others(home: Home) -> None:
    broken = RunDirectory.of(home, "charts", "broken")
    broken.record_file.write_text("{")
    try:
        assert len(stored_runs(home)) == 5
    finally:
        broken.record_file.unlink()


def test_empty_home_says_how_to_make_a_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no runs under"):
        resolve_run("latest", Home(tmp_path))


def test_a_models_whole_name_goes_before_a_longer_one_that_begins_like_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    docs = DatasetFactory(home, questions=6, images=2)
    docs.run("pixtral", created="2026-01-01T00:00:00+00:00")
    docs.run("pixtral-early", created="2026-01-02T00:00:00+00:00")
    assert resolve_run("pixtral", home).record.model == "pixtral"


def test_an_organisations_model_is_not_taken_for_a_path(tmp_path: Path) -> None:
    home = Home(tmp_path)
    docs = DatasetFactory(home, questions=6, images=2)
    run = docs.run("org-model", created="2026-01-01T00:00:00+00:00")
    record = run.read_record()
    assert record is not None
    record.model_title = "org/model"
    run.write_record(record)
    assert resolve_run("org/model@docvqa_val", home).directory.path == run.path
