"""What the local stack needs from the machine."""


class MissingPrerequisiteError(RuntimeError):
    """A missing prerequisite; the text is the one sentence for the user."""
