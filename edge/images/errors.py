"""Why something is no image that a model can see."""


class ImageError(Exception):
    """The message tells the caller what to change."""
