"""The shape of what goes over a wire or into a document."""

from collections.abc import Mapping

type Json = str | int | float | bool | list[Json] | dict[str, Json] | None
type JsonObject = dict[str, Json]
type ReadOnlyJson = Mapping[str, Json]
