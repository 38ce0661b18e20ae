"""`data.where`: which images count, as an expression over labels and other columns.

    not Hat and split != 'test'           (Hat or Glasses) and size >= 96
    origin in ('celeba', 'own')           Glasses is not null

Names are labels (true, false or, where unknown, null) and the columns of COLUMNS. From the loosest
to the tightest: `or`, `and`, `not`, then a comparison (= == != < <= > >=, `in (...)`, `is null`,
`is not null`). As in SQL, what is unknown is neither true nor false, and an image counts where the
whole is true. Nothing is evaluated but this.
"""

import re
from collections.abc import Callable
from typing import Final

import pyarrow as pa

from pipeline.errors import PipelineError

COLUMNS: Final = {
    "split": pa.string(),
    "celeb_id": pa.int64(),
    "origin": pa.string(),
    "size": pa.int32(),
}
"""What an expression may name besides labels, where the data have it."""

DEEPEST: Final = 50
"""Parentheses within each other."""

Columns = Callable[[str], pa.Array]
"""The column of a name. Raises KeyError where there is none."""

_Holds = Callable[[Columns], pa.Array]
"""An expression, or a part of it, ready to be asked."""

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<text>'[^']*'|\"[^\"]*\")|(?P<mark><=|>=|!=|<>|==|[=<>(),])"
    r"|(?P<number>-?\d+(?![A-Za-z0-9_]))|(?P<name>[A-Za-z0-9_]+))"
)

_COMPARED: Final = {
    "=": "equal", "==": "equal", "!=": "not_equal", "<>": "not_equal",
    "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal",
}  # fmt: skip


class Where:
    """An expression. Raises PipelineError where it is none."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: set[str] = set()
        """The columns that it asks for."""

        self._tokens = self._cut(text)
        self._place = self._depth = 0
        self._holds = self._or()
        if self._place < len(self._tokens):
            raise self._odd(f"{self._tokens[self._place][1]!r} is too much")

    def holds(self, columns: Columns, count: int) -> pa.Array:
        """Of which of `count` rows it is true: booleans without nulls.

        Raises PipelineError where it names an unknown column, or compares what cannot be compared.
        """
        import pyarrow.compute as pc

        there: dict[str, pa.Array] = {}
        for name in sorted(self.names):
            try:
                there[name] = columns(name)
            except KeyError:
                raise PipelineError(
                    f"data.where names {name}, and the data have no such label or column."
                ) from None
        try:
            found = self._holds(there.__getitem__)
            if found.type != pa.bool_():
                raise self._odd("it is a value, and neither true nor false")
            if isinstance(found, pa.Scalar):  # of an expression without a column
                found = pa.repeat(found, count)
            return pc.fill_null(found, False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise self._odd(f"its values are of different kinds: {error}") from error

    def _cut(self, text: str) -> list[tuple[str, str]]:
        tokens, place, end = [], 0, len(text.rstrip())
        while place < end:
            found = _TOKEN.match(text, place)
            if found is None or found.lastgroup is None:
                raise self._odd(f"{text[place:].strip()[:20]!r} is not understood")
            kind, token = found.lastgroup, found[found.lastgroup]
            word = token.lower()
            if kind == "name" and word in ("and", "or", "not", "in", "is", "null", "true", "false"):
                kind, token = "word", word
            tokens.append((kind, token))
            place = found.end()
        return tokens

    def _odd(self, why: str) -> PipelineError:
        return PipelineError(
            f"data.where is {self.text!r}, and {why}; write it as in: not Hat and split != 'test'."
        )

    def _next(self, *wanted: str) -> bool:
        """Whether the next word or mark is one of these; if so it is taken."""
        token = self._tokens[self._place] if self._place < len(self._tokens) else ("end", "")
        if token[0] in ("word", "mark") and token[1] in wanted:
            self._place += 1
            return True
        return False

    def _or(self) -> _Holds:
        parts = [self._and()]
        while self._next("or"):
            parts.append(self._and())
        return self._joined("or_kleene", parts)

    def _and(self) -> _Holds:
        parts = [self._not()]
        while self._next("and"):
            parts.append(self._not())
        return self._joined("and_kleene", parts)

    def _joined(self, function: str, parts: list[_Holds]) -> _Holds:
        if len(parts) == 1:
            return parts[0]

        def holds(columns: Columns) -> pa.Array:
            found = parts[0](columns)
            for part in parts[1:]:
                found = _call(function, found, part(columns))
            return found

        return holds

    def _not(self) -> _Holds:
        times = 0
        while self._next("not"):
            times += 1
        inner = self._comparison()
        return _called("invert", inner) if times % 2 else inner

    def _comparison(self) -> _Holds:
        value = self._value()
        if self._next("is"):
            no = self._next("not")
            if not self._next("null"):
                raise self._odd("after `is` stands null or not null")
            return _called("is_valid" if no else "is_null", value)
        no = self._next("not")
        if self._next("in"):
            listed = self._list()
            found = _listed(value, listed)
            return _called("invert", found) if no else found
        if no:
            raise self._odd("`not` stands before what it denies")
        for mark, function in _COMPARED.items():
            if self._next(mark):
                return _compared(function, value, self._value())
        return value

    def _list(self) -> list[str | int]:
        values: list[str | int] = []
        if not self._next("("):
            raise self._odd("after `in` stands a list in parentheses")
        while not self._next(")"):
            if values and not self._next(","):
                raise self._odd("the values of a list are parted by commas")
            values.append(self._constant())
        return values

    def _constant(self) -> str | int:
        kind, token = (
            self._tokens[self._place] if self._place < len(self._tokens) else ("end", "its end")
        )
        self._place += 1
        if kind == "text":
            return token[1:-1]
        if kind == "number" and len(token) < 19:
            return int(token)
        raise self._odd(f"{token!r} is no value")

    def _value(self) -> _Holds:
        if self._next("("):
            self._depth += 1
            if self._depth > DEEPEST:
                raise self._odd(f"it has more than {DEEPEST} parentheses within each other")
            inner = self._or()
            if not self._next(")"):
                raise self._odd("a parenthesis is not closed")
            self._depth -= 1
            return inner
        if self._next("true"):
            return lambda columns: pa.scalar(True)
        if self._next("false"):
            return lambda columns: pa.scalar(False)
        kind, token = self._tokens[self._place] if self._place < len(self._tokens) else ("end", "")
        if kind == "name":
            self._place += 1
            self.names.add(token)
            return lambda columns: columns(token)
        if kind in ("text", "number"):
            constant = pa.scalar(self._constant())
            return lambda columns: constant
        raise self._odd(f"{token!r} is not expected there" if token else "it ends too early")


def _called(function: str, inner: _Holds) -> _Holds:
    return lambda columns: _call(function, inner(columns))


def _compared(function: str, one: _Holds, other: _Holds) -> _Holds:
    return lambda columns: _call(function, one(columns), other(columns))


def _listed(value: _Holds, listed: list[str | int]) -> _Holds:
    return lambda columns: _is_in(value(columns), listed)


def _call(function: str, *values: pa.Array | pa.Scalar) -> pa.Array:
    import pyarrow.compute as pc

    return pc.call_function(function, list(values))


def _is_in(values: pa.Array, listed: list[str | int]) -> pa.Array:
    """Null where the value is unknown."""
    import pyarrow.compute as pc

    known = pc.is_in(values, value_set=pa.array(listed).cast(values.type))
    return pc.if_else(pc.is_valid(values), known, pa.scalar(None, pa.bool_()))
