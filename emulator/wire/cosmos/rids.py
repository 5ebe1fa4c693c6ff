"""Resource ids: the SDKs use them as keys of caches and in links, so they never change.

4 bytes name a database, 8 a container, 16 an item; each begins with its parent's, in base64 with `-` for `/`.
"""

import base64
from functools import lru_cache
from hashlib import blake2b


@lru_cache(maxsize=1024)
def database_bytes(database: str) -> bytes:
    return blake2b(database.encode(), digest_size=4).digest()


@lru_cache(maxsize=1024)
def container_bytes(database: str, container: str) -> bytes:
    # As in the service the first bit of a container's own half is set.
    own = bytearray(blake2b(container.encode(), digest_size=4).digest())
    own[0] |= 0x80
    return database_bytes(database) + bytes(own)


def item_rid(container: bytes, partition: str, id: str) -> str:
    return text(
        container + blake2b(f"{partition}\0{id}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    )


def text(rid: bytes) -> str:
    return base64.b64encode(rid).decode().replace("/", "-")
