"""The one error that bad input gives."""


class InputError(Exception):
    """Something the user gave is wrong: the command prints this and ends with exit code 2.

    Name scans by their pseudonym, columns and rows by name and number, settings by their path in the study
    file. Never put a path of a patient's file, or anything read from its header, into the text.
    """

    def __init__(self, problem: str, *, where: str, expected: str, found: str, do: str) -> None:
        self.problem, self.where, self.expected, self.found, self.do = problem, where, expected, found, do
        super().__init__(
            f"{problem}\n  where:      {where}\n  expected:   {expected}\n  found:      {found}\n  what to do: {do}"
        )

    def __reduce__(self):
        # Exceptions cross process borders (workers of `hnscc prepare`); the default would lose the keywords.
        return _rebuild, (self.problem, self.where, self.expected, self.found, self.do)


def _rebuild(problem: str, where: str, expected: str, found: str, do: str) -> InputError:
    return InputError(problem, where=where, expected=expected, found=found, do=do)
