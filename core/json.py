"""The shape of what goes over a wire or into a document."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

type Json = str | int | float | bool | list[Json] | dict[str, Json] | None
type JsonObject = dict[str, Json]
type ReadOnlyJson = Mapping[str, Json]

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""RFC 3339, with an offset."""

Link = Annotated[str, Field(json_schema_extra={"format": "uri-reference"})]
