"""Draws the pictures of docs/architecture.rst: ``python docs/architecture/draw.py``."""

import os
from xml.sax.saxutils import escape

HERE = os.path.dirname(os.path.abspath(__file__))
DECIDES, ACTS, KNOWS, FACES = "#e3eefb", "#fdeedc", "#e6f4e4", "#f1e8f8"
LINE = "#4a5568"


class Picture:
    """An SVG with a white ground.

    Args:
        width, height: in pixels.
        title: what it shows, for people who cannot see it.
    """

    def __init__(self, width, height, title):
        self._parts = [
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" width="{0}" height="{1}" '
            'font-family="Helvetica, Arial, sans-serif" role="img">'.format(width, height),
            "<title>{}</title>".format(escape(title)),
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
            'orient="auto"><path d="M0 0 10 5 0 10z" fill="{}"/></marker></defs>'.format(LINE),
            '<rect width="{}" height="{}" fill="#ffffff"/>'.format(width, height),
        ]

    def box(self, x, y, width, height, fill="none", dashed=False):
        self._parts.append(
            '<rect x="{}" y="{}" width="{}" height="{}" rx="6" fill="{}" stroke="{}"{}/>'.format(
                x, y, width, height, fill, LINE, ' stroke-dasharray="6 4"' if dashed else ""))

    def text(self, x, y, words, size=13, bold=False, code=False, anchor="start", over=False):
        style = ' text-anchor="{}"'.format(anchor)
        style += ' font-weight="bold"' if bold else ""
        style += ' font-family="Menlo, Consolas, monospace"' if code else ""
        style += ' paint-order="stroke" stroke="#ffffff" stroke-width="5"' if over else ""  # where a line runs below
        self._parts.append('<text x="{}" y="{}" font-size="{}" fill="#1a202c"{}>{}</text>'.format(
            x, y, size, style, escape(words)))

    def line(self, points, dashed=False, tip=True):
        self._parts.append('<polyline points="{}" fill="none" stroke="{}"{}{}/>'.format(
            " ".join("{},{}".format(x, y) for x, y in points), LINE, ' stroke-dasharray="6 4"' if dashed else "",
            ' marker-end="url(#tip)"' if tip else ""))

    def write(self, name):
        with open(os.path.join(HERE, name), "w", encoding="utf-8") as file:
            file.write("\n".join(self._parts + ["</svg>", ""]))


def room(picture, x, y, width, height, fill, name, purpose, files=(), beside=None):
    """Draw a box with a room's name, purpose and files; ``beside`` puts the files that many pixels to the right."""
    picture.box(x, y, width, height, fill)
    picture.text(x + 12, y + 20, name, 14, bold=True)
    for at, line in enumerate(purpose):
        picture.text(x + 12, y + 38 + 16 * at, line, 12)
    first = y + 38 + 16 * len(purpose) if beside is None else y + height / 2 + 4 - 7.5 * (len(files) - 1)
    for at, line in enumerate(files):
        picture.text(x + (beside or 12), first + 15 * at, line, 11, code=True)


def draw_rooms():
    picture = Picture(1080, 946, "The packages and their files; each imports only what is below it.")
    picture.text(20, 28, "Each room imports only what is below it.", 14, bold=True)
    for at, (fill, words) in enumerate((
            (FACES, "what programs use"), (DECIDES, "decides: no I/O, no threads"),
            (ACTS, "acts: threads, sockets, files"), (KNOWS, "knows: plain data"))):
        picture.box(370 + 178 * at, 16, 14, 14, fill)
        picture.text(389 + 178 * at, 28, words, 11)
    room(picture, 20, 44, 510, 66, FACES, "aliyun_sdk_secretsmanager_cli", ["the command managed-credentials"])
    room(picture, 550, 44, 510, 66, FACES, "aliyun_sdk_secretsmanager_testing",
         ["the local cloud, pytest fixtures, the demo;", "the cloud imports none of the rooms below"])
    plugins = (
        ("sdk_core", "aliyun-python-sdk-core", ["client, signing, errors", "answer_log", "compat, and its doors"]),
        ("oss", "oss2", ["client, signing, bodies", "errors, provider", "compat, and its doors"]),
        ("openapi", "the V2.0 SDKs", ["client, signing", "errors, provider"]),
        ("oss_v2", "alibabacloud-oss-v2", ["client, bodies", "errors, provider"]),
    )
    for at, (name, sdk, files) in enumerate(plugins):
        width = 245
        room(picture, 20 + (width + 20) * at, 124, width, 124, FACES, "..._{}_plugin".format(name), ["for " + sdk],
             files)
    picture.box(20, 258, 1040, 672)
    picture.text(36, 282, "aliyun_sdk_secretsmanager_common_plugin", 14, bold=True)
    y = 296
    for fill, name, purpose, files in (
        (FACES, "compat", "the interface of the existing plugin",
         ["its doors: auth, model, service, utils,", "and the existing plugin's modules at the top"]),
        (FACES, "what all plugins share", "and what examines a configuration",
         ["plugin_kit, bodies, check, rotation_events", "metrics, prometheus, opentelemetry"]),
        (FACES, "managed_credentials", "the facade for plugins and programs", []),
        (DECIDES, "lease", "signs and sends each call of one client; renews a rejected key and sends again", []),
        (ACTS, "runtime", "does what a keeper decides: threads, waiting, forks",
         ["owner, account, workers", "tickets, executors"]),
        (ACTS, "stores", "keys beyond the process: in a file, or in a Redis that processes share",
         ["cache_file, redis_store", "redis_connection, listener, seal"]),
        (DECIDES, "keeper", "the key that is held of each secret, and what to do next",
         ["keeper, entry, fetching, refreshing, sharing", "outcomes, events, actions, timing"]),
        (ACTS, "secrets_manager", "how Secrets Manager is asked: one answer, or one error",
         ["gateways, connections, protobuf", "https_connection, tls, other_clients"]),
        (ACTS, "identities", "who the program is when it asks",
         ["identity, renewable_identity, client_key", "credentials_source, credentials_library"]),
        (KNOWS, "settings", "the properties file and the environment as one immutable Settings",
         ["settings, loading, raw_value", "properties_file, files"]),
        (KNOWS, "what everybody uses", "errors, version, clocks, keys, and what keeps secrets out of logs",
         ["exceptions, version, clock, secrecy", "secret_info, access_key, threads, sockets"]),
    ):
        room(picture, 36, y, 1008, 48, fill, name, [purpose], files, beside=560)
        y += 57
    picture.write("rooms.svg")


def draw_rotation():
    who = ["the service", "the call", "lease", "inbox", "owner, keeper", "worker", "gateway"]
    columns = {name: 90 + 175 * at for at, name in enumerate(who)}
    steps = [
        ("the call", "lease", "call(send, rewind)"),
        ("lease", "the service", "signed with key 1"),
        ("the service", "lease", "InvalidAccessKeyId"),
        ("lease", None, "the handler judges: rejected. Renew(key 1)"),
        ("lease", "inbox", "Asked(ticket, key 1)"),
        ("lease", None, "waits for its ticket, no lock held"),
        ("inbox", "owner, keeper", "handle(Asked)"),
        ("owner, keeper", "worker", "Request"),
        ("worker", "gateway", "GetSecretValue"),
        ("inbox", "owner, keeper", "more Asked"),
        ("owner, keeper", None, "whoever asks now waits for the same fetch"),
        ("gateway", "worker", "key 2"),
        ("worker", "inbox", "Ended(request, key 2)"),
        ("inbox", "owner, keeper", "handle(Ended)"),
        ("owner, keeper", None, "Publish: readers have key 2"),
        ("owner, keeper", None, "Tell: executors run subscribers"),
        ("owner, keeper", "lease", "Answer: each ticket gets Renewal(key 2)"),
        ("lease", None, "rewind restores the request. Again"),
        ("lease", "the service", "the same request, signed with key 2"),
        ("the service", "lease", "the answer"),
        ("lease", "inbox", "Accepted, if wanted"),
        ("lease", "the call", "the answer"),
    ]
    top, pitch = 70, 34
    bottom = top + pitch * len(steps) + 10
    picture = Picture(1230, bottom + 20, "The life of a rotation, from the rejected call to its answer.")
    for name, x in columns.items():
        fill = {"lease": DECIDES, "owner, keeper": DECIDES, "inbox": ACTS, "worker": ACTS}.get(name, FACES)
        picture.line([(x, 52), (x, bottom)], dashed=True, tip=False)
        picture.box(x - 68, 20, 136, 32, fill)
        picture.text(x, 41, name, 14, bold=True, anchor="middle")
    for at, (sender, receiver, words) in enumerate(steps):
        x, y = columns[sender], top + pitch * at + 14
        if receiver is None:
            picture.box(x - 8, y - 16, 7 * len(words) + 16, 23, KNOWS)
            picture.text(x, y, words, 12)
        else:
            end = columns[receiver]
            picture.line([(x, y), (end, y)])
            picture.text((x + end) / 2, y - 7, words, 12, anchor="middle", over=True)
    picture.write("rotation.svg")


def draw_secret():
    picture = Picture(1180, 510, "The states of one secret in a keeper.")
    states = (
        (700, 60, KNOWS, "idle", "no client; the key stays"),
        (130, 230, KNOWS, "unknown", "nothing is held"),
        (410, 230, DECIDES, "first read", "once for all who wait"),
        (700, 230, KNOWS, "in use", "readers have the key"),
        (1050, 230, DECIDES, "refresh", "readers have the key"),
        (130, 440, FACES, "cool-down", "the same error again"),
        (410, 440, DECIDES, "recovery", "the stores are asked"),
        (700, 440, FACES, "cool-down", "readers have the key"),
        (1050, 440, DECIDES, "renewal", "once for all who ask"),
    )
    ways = (
        ([(218, 230), (322, 230)], 268, 222, "asked for"),
        ([(498, 230), (612, 230)], 552, 222, "a key"),
        ([(410, 256), (410, 414)], 410, 300, "no region answers"),
        ([(470, 414), (640, 256)], 572, 330, "a store has a key"),
        ([(322, 440), (218, 440)], 268, 432, "none has one"),
        ([(340, 256), (150, 414)], 200, 372, "it fails"),
        ([(218, 425), (375, 256)], 300, 350, "asked for again"),
        ([(90, 414), (90, 256)], 90, 320, "forgotten"),
        ([(788, 220), (962, 220)], 872, 212, "due, or asked for"),
        ([(962, 240), (788, 240)], 872, 256, "read, or failed"),
        ([(788, 256), (1010, 414)], 935, 345, "a service rejects the key"),
        ([(962, 425), (740, 256)], 815, 320, "another key"),
        ([(962, 445), (788, 445)], 872, 462, "the same key, or it fails"),
        ([(690, 414), (690, 256)], 690, 350, "it ends"),
        ([(725, 204), (725, 86)], 790, 165, "its last client ends"),
        ([(680, 86), (680, 204)], 680, 135, "asked for, still recent"),
        ([(612, 66), (440, 204)], 500, 115, "asked for, older than refresh_interval"),
    )
    for points, _, _, _ in ways:
        picture.line(points)
    for _, x, y, words in ways:
        picture.text(x, y, words, 12, anchor="middle", over=True)
    for x, y, fill, name, words in states:
        picture.box(x - 88, y - 26, 176, 52, fill)
        picture.text(x, y - 5, name, 14, bold=True, anchor="middle")
        picture.text(x, y + 14, words, 12, anchor="middle")
    picture.write("secret.svg")


if __name__ == "__main__":
    draw_rooms()
    draw_rotation()
    draw_secret()
