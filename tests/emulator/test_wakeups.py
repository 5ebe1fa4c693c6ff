import asyncio
from pathlib import Path

from emulator.wakeups import Wakeups


class Heard:
    def __init__(self) -> None:
        self.names: list[str] = []
        self.arrived = asyncio.Event()

    def wake(self, name: str) -> None:
        self.names.append(name)
        self.arrived.set()


async def test_every_other_instance_hears_what_is_told(tmp_path: Path) -> None:
    instances = [Wakeups(tmp_path, number, 3) for number in range(3)]
    heard = [Heard() for _ in instances]
    for instance, ear in zip(instances, heard, strict=True):
        instance.start(ear.wake)
    instances[0].tell(["queue:a", "feed:b"])
    await asyncio.wait_for(asyncio.gather(heard[1].arrived.wait(), heard[2].arrived.wait()), 10)
    assert [ear.names for ear in heard] == [[], ["queue:a", "feed:b"], ["queue:a", "feed:b"]]
    for instance in instances:
        instance.close()


async def test_a_name_told_often_wakes_once(tmp_path: Path) -> None:
    speaker, listener = Wakeups(tmp_path, 0, 2), Wakeups(tmp_path, 1, 2)
    heard = Heard()
    for _ in range(5):
        speaker.tell(["queue:a"])
    listener.start(heard.wake)
    await asyncio.wait_for(heard.arrived.wait(), 10)
    assert heard.names == ["queue:a"]
    speaker.close()
    listener.close()


async def test_peers_that_are_dead_busy_or_not_started_are_ignored(tmp_path: Path) -> None:
    speaker, busy = Wakeups(tmp_path, 0, 4), Wakeups(tmp_path, 1, 4)
    dead = Wakeups(tmp_path, 2, 4)
    dead._socket.close()  # as a kill leaves it: the file stays
    for _ in range(2000):  # far more than a socket holds
        speaker.tell([f"queue:{'x' * 1000}"])
    speaker.close()
    busy.close()


async def test_a_restarted_instance_takes_its_address_over(tmp_path: Path) -> None:
    killed = Wakeups(tmp_path, 1, 2)
    killed._socket.close()
    speaker, restarted = Wakeups(tmp_path, 0, 2), Wakeups(tmp_path, 1, 2)
    heard = Heard()
    restarted.start(heard.wake)
    speaker.tell(["durable"])
    await asyncio.wait_for(heard.arrived.wait(), 10)
    speaker.close()
    restarted.close()


async def test_many_names_and_a_long_folder_are_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    speaker, listener = Wakeups(folder, 0, 2), Wakeups(folder, 1, 2)
    heard = Heard()
    listener.start(heard.wake)
    names = [f"queue:{number}:{'ü' * 100}" for number in range(200)]
    speaker.tell(names)
    while len(heard.names) < len(names):
        heard.arrived.clear()
        await asyncio.wait_for(heard.arrived.wait(), 10)
    assert heard.names == names
    speaker.close()
    listener.close()
