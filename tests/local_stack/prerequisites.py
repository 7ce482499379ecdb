"""What the local stack needs from the machine."""


class MissingPrerequisiteError(RuntimeError):
    """Something that the machine lacks; the text is the one sentence for the person who started the stack."""
