"""An answer to an HTTP request, wherever it came from and however it leaves."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
