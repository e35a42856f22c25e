"""What a command says when it cannot do its work."""


class Failure(Exception):
    """One sentence that says what is wrong and what to do. The command prints it and exits with status 1."""
