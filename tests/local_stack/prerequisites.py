"""The prerequisites of the local stack."""


class MissingPrerequisiteError(RuntimeError):
    """A missing prerequisite; the text is the one sentence for the user."""
