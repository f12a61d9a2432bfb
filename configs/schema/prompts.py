"""A prompt's file: how questions are put, and what is made of the answers."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from pixtrack.configs.references import is_reference, located
from pixtrack.configs.schema.base import Config


class Shots(Config):
    """Worked examples that a prompt shows before each question, as earlier turns.

    They come from a dataset (another split than the one that is asked), or from a file.
    """

    dataset: str = Field("", description="a name in configs/datasets: another split than is asked")
    qa_file: str = Field(
        "", description="or an annotation JSONL; a relative path starts at the prompt's file"
    )
    img_folder: str = Field("", description="where its image names start; default: beside it")
    count: int | None = Field(
        None, ge=1, description="how many; of a file, default: all, in its order"
    )
    seed: int = Field(0, description="decides which ones are drawn")

    @model_validator(mode="after")
    def _one_source(self) -> Shots:
        if bool(self.dataset) == bool(self.qa_file):
            raise ValueError("name either a dataset or a qa_file that the examples come from")
        if self.dataset and self.count is None:
            raise ValueError("count: say how many examples of the dataset are shown")
        return self

    def read_from(self, folder: Path) -> Shots:
        """With the file and the images where they lie: relative paths start at `folder`."""
        if not self.qa_file:
            return self
        file = (folder / Path(self.qa_file).expanduser()).resolve()
        images = (folder / Path(self.img_folder).expanduser()) if self.img_folder else file.parent
        return self.model_copy(update={"qa_file": str(file), "img_folder": str(images.resolve())})


class PromptVariant(Config):
    """How one dataset's questions are put. `None`: as the prompt's default says."""

    system: str | None = None
    template: str | None = None
    option_template: str | None = None
    option_separator: str | None = None
    options_template: str | None = None
    history_template: str | None = None
    context_template: str | None = None
    max_new_tokens: int | None = Field(None, ge=1)
    postprocess: tuple[str, ...] | None = None
    stop: tuple[str, ...] | None = None
    shots: Shots | None = None
    reason: str = ""


def _located(steps: tuple[str, ...] | None, folder: Path) -> tuple[str, ...] | None:
    if steps is None:
        return None
    return tuple(located(step, folder) if is_reference(step) else step for step in steps)


class PromptConfig(Config):
    """A prompt: configs/prompts/NAME.yaml; the image always comes first."""

    name: str
    title: str = Field(description="as people write it")
    source: str = Field("", description="where this prompt is published")
    version: int = Field(1, ge=1)
    system: str = ""
    template: str = Field(
        description="{question} is replaced; {context} by the context, {options} by the options, if "
        "any; options without {options} follow the question"
    )
    option_template: str = Field("{letter}. {option}", description="how an option is put")
    option_separator: str = Field("\n", description="what stands between two options")
    options_template: str = Field(
        "\n{options}", description="what {options} becomes where there are any"
    )
    history_template: str = Field(
        "{question}", description="the user's text of an earlier turn of a conversation"
    )
    context_template: str = Field(
        "{context}\n", description="what {context} becomes where there is one"
    )
    max_new_tokens: int = Field(ge=1, description="output limit, in tokens")
    postprocess: tuple[str, ...] = Field(
        (),
        description="steps from raw output to prediction: names in "
        'pixtrack.tasks.scoring.postprocess, and functions of your own ("my_steps.py:clean")',
    )
    stop: tuple[str, ...] = ()
    shots: Shots | None = Field(None, description="worked examples, shown before each question")
    datasets: dict[str, PromptVariant] = Field(
        default_factory=dict, description="what differs for a dataset"
    )
    notes: str = ""

    def read_from(self, folder: Path) -> PromptConfig:
        """With the files of its own steps where they lie: a relative path starts at `folder`."""
        datasets = {
            name: variant.model_copy(
                update={
                    "postprocess": _located(variant.postprocess, folder),
                    "shots": variant.shots and variant.shots.read_from(folder),
                }
            )
            for name, variant in self.datasets.items()
        }
        steps = _located(self.postprocess, folder)
        shots = self.shots and self.shots.read_from(folder)
        changed = {"postprocess": steps, "datasets": datasets, "shots": shots}
        return self.model_copy(update=changed)

    def for_dataset(self, dataset: str) -> PromptConfig:
        """The prompt with the dataset's differences applied and `datasets` emptied."""
        variant = self.datasets.get(dataset)
        given = dict(variant) if variant else {}
        changed = {
            name: value for name, value in given.items() if name != "reason" and value is not None
        }
        return self.model_copy(update={**changed, "datasets": {}})
