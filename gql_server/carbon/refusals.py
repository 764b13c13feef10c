"""The one error of files that cannot be read."""


class FileRefused(Exception):
    """The file as a whole cannot be read; `message` is for its sender."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
