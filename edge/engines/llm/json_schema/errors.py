"""What a caller is told about a schema that cannot be enforced."""

from edge.engines.base import InvalidRequest


class SchemaError(InvalidRequest):
    """A schema, or a place in it, that cannot be enforced.

    ``keyword`` is the one at fault and ``pointer`` where it is, as a JSON pointer from the schema's root;
    both may be empty. :meth:`about` puts the request's field in front once it is known.
    """

    def __init__(self, reason: str, *, keyword: str = "", pointer: str = "", param: str = "") -> None:
        self.reason = reason
        self.keyword = keyword
        self.pointer = pointer
        super().__init__(f"{param}: {reason}" if param else reason, param=param or None)

    def about(self, param: str) -> "SchemaError":
        return SchemaError(self.reason, keyword=self.keyword, pointer=self.pointer, param=param)


def place(pointer: str, *steps: str | int) -> str:
    """Return the JSON pointer of what *steps* lead to from *pointer* (RFC 6901)."""
    return pointer + "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def unsupported(keyword: str, pointer: str, why: str = "cannot be enforced") -> SchemaError:
    """Return the refusal of *keyword* in the schema at *pointer*."""
    where = place(pointer, keyword)
    return SchemaError(
        f"the schema's keyword '{keyword}' at #{where[:300]} {why}; drop it", keyword=keyword, pointer=where
    )


def malformed(keyword: str, pointer: str, wanted: str) -> SchemaError:
    """Return the refusal of a value that *keyword* cannot have."""
    where = place(pointer, keyword)
    return SchemaError(
        f"the schema's keyword '{keyword}' at #{where[:300]} must be {wanted}", keyword=keyword, pointer=where
    )


def too_large(what: str, limit: str) -> SchemaError:
    return SchemaError(f"the schema {what}; at most {limit} can be enforced, make it smaller")
