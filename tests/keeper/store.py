"""A shared store in the memory of the test, with the rules of the scripts in ``stores/redis_store.py``.

``tests/stores`` holds a real Redis to the same rules.
"""

from aliyun_sdk_secretsmanager_common_plugin.keeper.events import Announced, Found, Position, StoreEnded

OWNER, OTHER = "this process", "another process"


class Held:
    """What the store holds of one secret."""

    def __init__(self):
        self.count = 0
        self.answer = None  # (position, key)
        self.lease = None  # (owner, end)


class Store:
    """The store.

    Args:
        time: returns the store's time in seconds.

    Attributes:
        mode: "works", "fails" or "hangs".
    """

    def __init__(self, time):
        self._time = time
        self.generation = "generation-1"
        self.mode = "works"
        self._held = {}

    def held(self, name):
        return self._held.setdefault(name, Held())

    def flush(self):
        """Lose everything."""
        self.generation = "generation-" + str(int(self.generation.split("-")[1]) + 1)
        self._held.clear()

    def take(self, action, owner=OWNER):
        held, now = self.held(action.name), self._time()
        known = action.known
        is_known = known is not None and known.generation == self.generation
        if held.answer is not None:
            position, key = held.answer
            age = now - position.time / 1000
            if age <= action.max_age and not (is_known and position.number <= known.number):
                return StoreEnded(action.number, Found(key, position, max(age, 0.0)))
        held.count = max(held.count, known.number if is_known else 0) + 1
        position = Position(self.generation, held.count, int(1000 * now))
        is_free = held.lease is None or held.lease[0] == owner or held.lease[1] <= now
        if is_free:
            held.lease = owner, now + action.lease
        return StoreEnded(action.number, position=position, is_leased=is_free)

    def share(self, action, owner=OWNER):
        """Take an answer; return what is announced, None if it is too late."""
        held, announced = self.held(action.name), None
        if action.position.generation == self.generation and (
                held.answer is None or action.position.number > held.answer[0].number):
            held.answer = action.position, action.key
            announced = Announced(action.name, Found(action.key, action.position, 0.0))
        self.free(action, owner)
        return announced

    def free(self, action, owner=OWNER):
        held = self.held(action.name)
        if held.lease is not None and held.lease[0] == owner:
            held.lease = None

    def lease_to_other(self, name, seconds):
        """Let another process begin to ask Secrets Manager; return its position."""
        held = self.held(name)
        held.count += 1
        held.lease = OTHER, self._time() + seconds
        return Position(self.generation, held.count, int(1000 * self._time()))

    def other_shares(self, name, key, position=None):
        """Let another process leave an answer; return the announcement."""
        from aliyun_sdk_secretsmanager_common_plugin.keeper.actions import Share

        position = position or self.lease_to_other(name, 1.0)
        return self.share(Share(0, name, key, position), OTHER)
