"""A small model of the Service Bus engine: plain lists, and time moved by hand. Times are seconds."""

from collections import Counter
from dataclasses import dataclass, field
from math import inf

from emulator.servicebus.accounting import Account
from emulator.servicebus.filters import takes
from emulator.servicebus.messages import Message
from emulator.servicebus.topology import Settlement, Topology
from tests.emulator.servicebus_support import DEAD


@dataclass(eq=False)
class Copy:
    """`place` orders copies as sequence numbers do. `token` is that of the lock, while locked.

    `deferred` stays while it is locked again: then it is given back as deferred.
    """

    message: Message
    path: str
    place: int
    state: str
    due: float
    expires: float
    deliveries: int = 0
    token: str | None = None
    reason: str | None = None
    deferred: bool = False


@dataclass
class Model:
    topology: Topology
    now: float
    copies: list[Copy] = field(default_factory=list)
    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    seen: dict[tuple[str, str], float] = field(default_factory=dict)
    places: int = 0

    def __post_init__(self) -> None:
        self.boxes: dict[str, Settlement] = {queue.name: queue.settlement for queue in self.topology.queues}
        self.topics = {topic.name: topic for topic in self.topology.topics}
        for topic in self.topology.topics:
            for subscription in topic.subscriptions:
                self.boxes[f"{topic.name}/Subscriptions/{subscription.name}"] = subscription.settlement
        self.boxes |= {path + DEAD: settlement for path, settlement in self.boxes.items()}
        self.windows = {
            entity.name: entity.duplicate_window_s
            for entity in (*self.topology.queues, *self.topology.topics)
        }

    def send(self, entity: str, message: Message) -> Copy | None:
        """The scheduled copy, if it became one."""
        window = self.windows[entity]
        if window is not None:
            if self.seen.get((entity, message.message_id), -inf) > self.now:
                self.events[entity, "duplicates"] += 1
                return None
            self.seen[entity, message.message_id] = self.now + window
        time_to_live = inf if message.time_to_live_s is None else message.time_to_live_s
        if message.scheduled_for is not None and message.scheduled_for > self.now:
            self.events[entity, "accepted"] += 1
            copy = self._add(message, entity, "scheduled", message.scheduled_for)
            copy.expires = time_to_live
            return copy
        self._enqueue(entity, message, time_to_live, was_scheduled=False)
        return None

    def receive(self, path: str, limit: int) -> list[Copy]:
        free = [copy for copy in self.copies if copy.path == path and copy.state == "ready"]
        taken = sorted(free, key=lambda copy: copy.place)[:limit]
        for copy in taken:
            copy.state, copy.due = "locked", self.now + self.boxes[path].lock_s
        return taken

    def receive_and_delete(self, path: str, limit: int) -> list[Copy]:
        taken = self.receive(path, limit)
        for copy in taken:
            self.complete(copy)
        return taken

    def take_deferred(self, path: str, copies: list[Copy]) -> bool:
        """All or none; those that expired meanwhile come to their end."""
        free = [
            copy for copy in copies if copy in self.copies and copy.path == path and copy.state == "deferred"
        ]
        expired = [copy for copy in free if copy.expires <= self.now]
        for copy in expired:
            self._expire(copy)
        return len(free) == len(copies) and not expired

    def lock_deferred(self, copy: Copy) -> None:
        copy.state, copy.due = "locked", self.now + self.boxes[copy.path].lock_s

    def held(self, path: str, token: str) -> Copy | None:
        for copy in self.copies:
            if copy.path == path and copy.state == "locked" and copy.token == token:
                return copy
        return None

    def complete(self, copy: Copy) -> None:
        self._end(copy, "completed")

    def abandon(self, copy: Copy) -> None:
        copy.deliveries += 1
        self.release(copy)

    def defer(self, copy: Copy) -> None:
        copy.deferred = True
        self.abandon(copy)

    def release(self, copy: Copy) -> None:
        copy.state, copy.token, copy.due = "ready", None, copy.expires
        if copy.deferred:
            copy.state, copy.due = "deferred", inf
        if not copy.path.endswith(DEAD) and copy.deliveries >= self.boxes[copy.path].max_delivery_count:
            self.dead_letter(copy, "MaxDeliveryCountExceeded")
        elif copy.expires <= self.now and not copy.deferred:
            self._expire(copy)

    def dead_letter(self, copy: Copy, reason: str) -> None:
        self.events[copy.path, "dead_lettered"] += 1
        copy.path += DEAD
        self.events[copy.path, "accepted"] += 1
        copy.state, copy.token, copy.reason, copy.due, copy.expires = "ready", None, reason, inf, inf
        copy.deferred = False

    def renew(self, copy: Copy) -> None:
        copy.due = self.now + self.boxes[copy.path].lock_s

    def cancel(self, copy: Copy) -> None:
        self._end(copy, "cancelled")

    def advance(self, seconds: float, *, asleep: bool = False) -> None:
        """What falls due meanwhile happens at its time; when the engine was down, all of it at the end."""
        end = self.now + seconds
        while due := [copy for copy in self.copies if copy.due <= end]:
            copy = min(due, key=lambda copy: (copy.due, copy.place))
            self.now = end if asleep else max(self.now, copy.due)
            if copy.state == "locked":
                self.abandon(copy)
            elif copy.state == "scheduled":
                if copy.path in self.topics:
                    self.events[copy.path, "completed"] += 1
                self.copies.remove(copy)
                self._enqueue(copy.path, copy.message, copy.expires, was_scheduled=True)
            else:
                self._expire(copy)
        self.now = end

    def accounts(self) -> dict[str, Account]:
        held = Counter(copy.path for copy in self.copies)
        accounts = {path: {"held": held[path]} for path in (*self.boxes, *self.topics)}
        for (path, event), number in self.events.items():
            accounts[path][event] = number
        return {path: Account(**events) for path, events in accounts.items()}

    def _enqueue(self, entity: str, message: Message, time_to_live: float, *, was_scheduled: bool) -> None:
        topic = self.topics.get(entity)
        if topic is None:
            paths = [entity]
        else:
            time_to_live = min(time_to_live, topic.time_to_live_s or inf)
            paths = [
                f"{entity}/Subscriptions/{one.name}"
                for one in topic.subscriptions
                if takes(one.rules, message)
            ]
        for path in paths:
            expires = self.now + min(time_to_live, self.boxes[path].time_to_live_s or inf)
            self._add(message, path, "ready", expires)
            if topic is not None or not was_scheduled:
                self.events[path, "accepted"] += 1

    def _add(self, message: Message, path: str, state: str, due: float) -> Copy:
        self.places += 1
        copy = Copy(message, path, self.places, state, due, due)
        self.copies.append(copy)
        return copy

    def _expire(self, copy: Copy) -> None:
        if self.boxes[copy.path].dead_letter_expired:
            self.dead_letter(copy, "TTLExpiredException")
        else:
            self._end(copy, "expired")

    def _end(self, copy: Copy, event: str) -> None:
        self.copies.remove(copy)
        self.events[copy.path, event] += 1
