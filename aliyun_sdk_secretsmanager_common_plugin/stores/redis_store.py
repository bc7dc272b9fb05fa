"""The shared store in Redis: the operations that the keeper asks for, each one script that Redis runs as a whole.

Of each secret Redis holds a hash, ``<prefix><tag>``, and while a process asks Secrets Manager its fetch lease,
``<prefix><tag>:lease``. The fields of the hash: ``g``, the generation, and ``n``, the count of its positions; of the
last answer ``w``, its position's number, ``t``, its time, and ``v``, the sealed answer.
"""

import collections
import json
import os
from typing import Any, Callable, Dict, List, Optional

import redis

from ..access_key import AccessKey, parse_secret
from ..keeper.actions import Free, Probe, Share, Take
from ..keeper.events import Announced, Found, Position, StoreEnded
from ..keeper.timing import LONGEST_LEASE, MOST_STRETCH
from ..secrecy import json_object
from ..secret_info import answer_of
from ..secrets_manager import Connections
from ..settings import SharedStoreSettings
from .redis_connection import RedisConnection, problem
from .seal import Seal

# KEYS: hash, lease. ARGV: the known generation and number, the largest age and the lease's length in milliseconds, the
# owner's token, a new generation, the hash's life and the most that a lease may have left in milliseconds, the most
# bytes of an answer, and the number of an answer that could not be opened.
# What is not of this package is replaced: a key of another type, a generation or a number in another form, a lease
# without an end, and an answer that nobody can open. Its number goes, too: it would keep out answers with smaller ones.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function whole(text) return text and #text < 16 and text:find('^%d+$') and tonumber(text) end
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', KEYS[1]) end
local held = redis.call('HMGET', KEYS[1], 'g', 'n', 'w', 't', 'v')
local generation, count, number, taken = held[1], whole(held[2]), whole(held[3]), whole(held[4])
local is_whole = generation and number and taken and held[5] and #held[5] <= tonumber(ARGV[9]) and held[3] ~= ARGV[10]
if is_whole and now - taken <= tonumber(ARGV[3]) and (generation ~= ARGV[1] or number > tonumber(ARGV[2])) then
  return {'found', generation, held[3], held[4], held[5], string.format('%.0f', now - taken)}
end
local ignored = ''
if held[3] and held[3] ~= '' and not is_whole then
  redis.call('HSET', KEYS[1], 'w', '')
  ignored = 'damaged'
end
if not (count and generation and #generation == 32 and generation:find('^%x+$')) then
  if kind ~= 'none' then
    redis.call('DEL', KEYS[1])
    ignored = 'damaged'
  end
  generation, count = ARGV[6], 0
end
if generation == ARGV[1] and count < tonumber(ARGV[2]) then
  count = tonumber(ARGV[2])
  ignored = 'older'
end
count = string.format('%.0f', count + 1)
redis.call('HSET', KEYS[1], 'g', generation)
redis.call('HSET', KEYS[1], 'n', count)
redis.call('PEXPIRE', KEYS[1], ARGV[7])
local left = redis.call('PTTL', KEYS[2])
local holder = redis.pcall('GET', KEYS[2])
if type(holder) == 'table' and not string.find(holder.err, 'WRONGTYPE') then return holder end
local may = redis.call('SET', KEYS[2], ARGV[5], 'PX', ARGV[4], 'NX')
if not may and (holder == ARGV[5] or type(holder) == 'table' or left < 0 or left > tonumber(ARGV[8])) then
  may = redis.call('SET', KEYS[2], ARGV[5], 'PX', ARGV[4])
end
return {may and 'leased' or 'busy', generation, count, string.format('%.0f', now), ignored}
"""
# KEYS: hash, lease. ARGV: the owner's token, generation, number, time, the sealed answer, the hash's life in
# milliseconds, the channel, what to announce.
# Only the position decides whether the answer is written, not the lease: its holder may be late.
_SHARE = """
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', KEYS[1]) end
local held = redis.call('HMGET', KEYS[1], 'g', 'n', 'w')
if not held[1] then
  redis.call('HSET', KEYS[1], 'g', ARGV[2])
  redis.call('HSET', KEYS[1], 'n', ARGV[3])
end
if (not held[1] or held[1] == ARGV[2]) and tonumber(ARGV[3]) > (tonumber(held[3]) or 0) then
  redis.call('HSET', KEYS[1], 'w', ARGV[3])
  redis.call('HSET', KEYS[1], 't', ARGV[4])
  redis.call('HSET', KEYS[1], 'v', ARGV[5])
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
  redis.call('PUBLISH', ARGV[7], ARGV[8])
end
if redis.pcall('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return 'done'
"""
# KEYS: lease. ARGV: the owner's token.
_FREE = """
if redis.pcall('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 'done'
"""
# KEYS: any key of the store, which is also the name of a channel that nobody hears. ARGV: how long the key lasts, in
# milliseconds.
# This needs all rights that the other scripts need: a store that lacks one is off until it has all. SET comes first:
# once a script has written something, a full Redis lets it write more.
_PROBE = """
redis.call('SET', KEYS[1], '', 'PX', ARGV[1])
redis.call('GET', KEYS[1])
redis.call('PTTL', KEYS[1])
redis.call('TYPE', KEYS[1])
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'g', '')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('HMGET', KEYS[1], 'g')
redis.call('PUBLISH', KEYS[1], '')
return redis.call('TIME')
"""
PROBE_LIFE = 1000
# A lease that has more milliseconds left was not made by this package, and does not count.
MOST_LEFT = int(1000 * LONGEST_LEASE) + 1000
# The most bytes of an answer, and digits of a number, that are looked at. A secret in KMS has at most 30,720 bytes.
MOST_BYTES = 1 << 16
MOST_DIGITS = 20
# The most secrets whose announcements a process understands.
MOST_NAMES = 20000
# What the script says of a value that it replaced.
_IGNORED = {
    b"damaged": "it is damaged, or this package did not write it",
    b"older": "it is older than what was there before, as after a failover, or from a backup",
}
# Redis does not take an infinite number.
_ANY_AGE = 10 ** 15


class RedisStore:
    """The operations of the shared store. They run in workers, over the connections that these keep.

    Args:
        settings: where Redis is, and the password.
        refresh_interval: seconds between refreshes; a stored answer lasts twice as long.
    """

    def __init__(self, settings: SharedStoreSettings, refresh_interval: float) -> None:
        self._settings = settings
        self._life = int(2000 * refresh_interval) + 1000
        self._seal = Seal(settings.password, settings.prefix)
        self._names: "collections.OrderedDict[str, str]" = collections.OrderedDict()  # by tag, the secrets asked for
        self._owner = _random()
        self._runs: Dict[Any, Callable[[Any, Connections], StoreEnded]] = {
            Take: self._take, Share: self._share, Free: self._free, Probe: self._probe}

    def run(self, action: Any, connections: Connections) -> StoreEnded:
        """Carry out an action of the keeper; return what came of it. Errors are part of that.

        Args:
            action: a ``Take``, ``Share``, ``Free`` or ``Probe``.
            connections: those of the worker.
        """
        try:
            return self._runs[type(action)](action, connections)
        except Exception as error:
            return StoreEnded(action.number, error=problem(error))

    def listening_connection(self) -> RedisConnection:
        """Return a new connection for the announcements."""
        return RedisConnection(self._settings, self._settings.timeout)

    def channel(self) -> str:
        """Return the channel of the announcements."""
        return self._settings.prefix + "announcements"

    def heard(self, message: Any) -> Optional[Announced]:
        """Return what an announcement says; None if it is of a secret that this process does not know.

        Args:
            message: the announcement: tag, generation, number and time, with blanks between, then the sealed answer.
        """
        parts = message.split(b" ", 4) if isinstance(message, bytes) else []
        name = self._names.get(_text(parts[0])) if parts else None
        if name is None:
            return None
        return Announced(name, self._opened(name, parts[1:4], parts[-1], 0.0))

    def after_fork_in_child(self) -> None:
        """Be another owner of leases than the parent process."""
        self._owner = _random()

    def __repr__(self) -> str:
        return "the shared store"

    def _take(self, action: Take, connections: Connections) -> StoreEnded:
        known = action.known
        age = _ANY_AGE if action.max_age > _ANY_AGE / 1000 else int(1000 * action.max_age)
        arguments = [
            "" if known is None else known.generation, 0 if known is None else known.number, age,
            max(int(1000 * action.lease), 1), self._owner, _random(), self._life, MOST_LEFT, MOST_BYTES, ""]
        reply = self._eval(_TAKE, self._keys(action.name), arguments, connections)
        unsealed = ""
        if reply[0] == b"found":
            found = self._opened(action.name, reply[1:4], reply[4], max(_number(reply[5]) + 1, 0) / 1000.0)
            if found is not None:
                return StoreEnded(action.number, found)
            unsealed = "it is not sealed with the password for this secret and position"
            arguments[2], arguments[-1] = -1, reply[2]  # no answer will do now
            reply = self._eval(_TAKE, self._keys(action.name), arguments, connections)
        return StoreEnded(action.number, position=_position(reply[1:4]), is_leased=reply[0] == b"leased",
                          ignored=unsealed or _IGNORED.get(reply[4], ""))

    def _share(self, action: Share, connections: Connections) -> StoreEnded:
        position = action.position
        answer = json.dumps(answer_of(action.key.secret_info), default=str).encode("ascii")
        value = self._seal.sealed(action.name, position, answer)
        place = [position.generation, str(position.number), str(position.time)]
        message = " ".join([self._seal.tag(action.name)] + place + [""]).encode("ascii") + value
        self._eval(_SHARE, self._keys(action.name), [self._owner] + place + [
            value, self._life, self.channel(), message], connections)
        return StoreEnded(action.number)

    def _free(self, action: Free, connections: Connections) -> StoreEnded:
        self._eval(_FREE, self._keys(action.name)[1:], [self._owner], connections)
        return StoreEnded(action.number)

    def _probe(self, action: Probe, connections: Connections) -> StoreEnded:
        self._eval(_PROBE, [self._settings.prefix + "probe"], [PROBE_LIFE], connections)
        return StoreEnded(action.number)

    def _keys(self, name: str) -> List[str]:
        tag = self._seal.tag(name)
        self._names[tag] = name
        if len(self._names) > MOST_NAMES:  # announcements of the oldest are not understood until it is read again
            self._names.popitem(last=False)
        key = self._settings.prefix + tag
        return [key, key + ":lease"]

    def _eval(self, script: str, keys: List[str], arguments: List[Any], connections: Connections) -> Any:
        """Run a script; if a kept connection turns out closed, over a new one."""
        connection = connections.get(self, self._connection)
        was_kept = connection.has_answered
        command = ["EVAL", script, len(keys)] + keys + arguments
        try:
            return connection.call(*command)
        except redis.ResponseError:
            raise
        except (redis.RedisError, OSError) as error:
            connections.drop(self)
            if not was_kept or isinstance(error, redis.TimeoutError):
                raise
        return connections.get(self, self._connection).call(*command)

    def _connection(self) -> RedisConnection:
        # The keeper gives an operation up in time. Unlike a socket it allows for the time in which this process did not
        # run, as on a busy machine.
        return RedisConnection(self._settings, MOST_STRETCH * self._settings.timeout)

    def _opened(self, name: str, place: List[bytes], value: bytes, age: float) -> Optional[Found]:
        """Return a stored answer; None if it was not sealed with the password for this secret and position."""
        try:
            position = _position(place)
            answer = json_object(self._seal.opened(name, position, value))
            key: Optional[AccessKey] = None if answer is None else parse_secret(name, answer)
        except (ValueError, IndexError):  # a SecretFormatError is a ValueError
            return None
        return None if key is None else Found(key, position, age)


def _position(place: List[bytes]) -> Position:
    return Position(_text(place[0]), _number(place[1]), _number(place[2]))


def _number(digits: bytes) -> int:
    if len(digits) > MOST_DIGITS:  # Python 3.6 takes long for a million of them
        raise ValueError("no number of ours has so many digits")
    return int(digits)


def _text(value: bytes) -> str:
    return value.decode("latin-1")


def _random() -> str:
    return os.urandom(16).hex()
