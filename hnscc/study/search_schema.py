"""The section `search` of a study file: what a hyperparameter search tries, stops and may spend."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from hnscc.study.fields import OURS, Count, Positive, Settings, Share, conflict, says


class Range(Settings):
    """Every value from low to high, evenly or (log) by order of magnitude; whole numbers where the setting is one."""

    low: Annotated[float, says("The smallest value that is tried.", OURS)]
    high: Annotated[float, says("The largest value that is tried.", OURS)]
    log: Annotated[
        bool,
        says("Values are chosen evenly by order of magnitude instead of evenly by value.", OURS),
    ] = False

    @model_validator(mode="after")
    def _from_low_to_high(self) -> "Range":
        if self.low >= self.high:
            raise conflict(self, "low lies below high", "low", "high")
        if self.log and self.low <= 0:
            raise conflict(self, "log: true needs low above 0", "low", "log")
        return self


# The form of a value decides which type it is read as, so that an error is about the type that was meant.
def _form_of_values(value: Any) -> str | None:
    if isinstance(value, list | tuple):
        return "list"
    return "range" if isinstance(value, dict | Range) else None


Values = Annotated[
    Annotated[tuple[Any, ...], Tag("list")] | Annotated[Range, Tag("range")],
    Discriminator(
        _form_of_values,
        custom_error_type="values",
        custom_error_message="a list such as [1, 2], or a section with low and high",
    ),
]


class SearchRepeats(Settings):
    """How many repeats configurations get."""

    first: Annotated[Count, says("Every configuration gets so many repeats.", OURS)] = 1
    most: Annotated[
        int,
        Field(ge=2, le=10_000),
        says("The configuration with the most repeats gets so many.", OURS),
    ] = 50

    @model_validator(mode="after")
    def _first_are_not_more_than_most(self) -> "SearchRepeats":
        if self.first > self.most:
            raise conflict(self, "most is at least first", "first", "most")
        return self


class Budget(Settings):
    """What a search may spend. It ends when the first of these limits is reached."""

    trials: Annotated[
        Positive | None,
        says("So many whole trainings; one that ended early counts by its epochs.", OURS),
    ] = None
    hours: Annotated[
        Positive | None,
        says(
            "So many hours, on as many trials side by side as the machines held when the search began.", OURS
        ),
    ] = None
    gpu_hours: Annotated[
        Positive | None,
        says("So many hours of a whole GPU: each trial's hours times its share of one, added up.", OURS),
    ] = None

    @model_validator(mode="after")
    def _something_is_limited(self) -> "Budget":
        if self.trials is None and self.hours is None and self.gpu_hours is None:
            raise conflict(self, "a budget has trials, hours or gpu_hours", "trials", "hours", "gpu_hours")
        return self


class Search(Settings):
    """A hyperparameter search over repeats (hnscc.searching.race)."""

    method: Annotated[
        Literal["random", "grid", "tpe"],
        says(
            "How configurations are proposed: at random, every combination, or by Optuna's TPE from the scores "
            "so far.",
            OURS,
        ),
    ]
    ranges: Annotated[
        dict[str, Values],
        Field(min_length=1),
        says(
            "For the path of a setting of `training` or `augmentation`: a list of values, or a range.", OURS
        ),
    ]
    configurations: Annotated[
        Annotated[int, Field(ge=2, le=10_000)] | None,
        says("So many configurations are tried; the method grid takes no number and tries all.", OURS),
    ] = None
    repeats: Annotated[SearchRepeats, says("How many repeats configurations get.", OURS)] = SearchRepeats()
    stopping: Annotated[
        Literal["none", "successive_halving", "median"],
        says(
            "Who is stopped before its last epoch: nobody, all but the best third, or who lies below the median.",
            OURS,
        ),
    ] = "none"
    budget: Annotated[Budget, says("What the search may spend; the first that is spent ends it.", OURS)]
    level: Annotated[
        Share,
        says("The chance, at most, that the tests of the whole search dismiss the best configuration.", OURS),
    ] = 0.05
    runners_up: Annotated[
        int,
        Field(ge=0),
        says(
            "At most so many configurations that cannot be told from the winner are written out beside it.",
            OURS,
        ),
    ] = 2

    @field_validator("ranges", mode="before")
    @classmethod
    def _lists_of_distinct_values(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {
            name: _choices(name, each) if isinstance(each, list) else each for name, each in value.items()
        }

    @model_validator(mode="after")
    def _method_has_what_it_needs(self) -> "Search":
        if self.method == "grid":
            if self.configurations is not None:
                expected = "method grid tries every combination: it takes no number of configurations"
                raise conflict(self, expected, "method", "configurations")
            if ranges := [name for name, each in self.ranges.items() if isinstance(each, Range)]:
                expected = f"method grid needs lists of values, and {', '.join(ranges)} is a range"
                raise conflict(self, expected, "method")
        elif self.configurations is None:
            expected = f"method {self.method} needs the number of configurations"
            raise conflict(self, expected, "method", "configurations")
        return self


def _choices(name: object, values: list[object]) -> tuple[object, ...]:
    if len(values) < 2 or any(each in values[:position] for position, each in enumerate(values)):
        raise ValueError(f"{name} is a list of at least two different values")
    return tuple(values)
