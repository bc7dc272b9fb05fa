"""A pytest plugin that looks for secrets in all that the tests log, print, warn of or raise, and in the reprs of objects.

It sees log records from DEBUG on, also those of the SDKs, whatever the levels are; the handlers get the same records as
without it. A test that shows a secret fails, and the secret is masked in the failure. ``@pytest.mark.plain_sdks`` is for
tests that use the SDKs without the plugins, whose filters keep secrets out of the SDKs' own logs.
"""

import base64
import functools
import gc
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from urllib.parse import quote

import pytest

from aliyun_sdk_secretsmanager_testing.faults import Fault

from . import terminal

MASK = "********"
# A secret that is shorter, has few different characters, or is like a word without a digit is like other text.
SHORTEST = 10
FEWEST_CHARACTERS = 5
LONGEST_WORD = 20
# Every STRIDE-th gram of a text is looked up among the first STRIDE grams of each secret. One of them is found, since
# each secret is at least as long as two grams.
STRIDE = SHORTEST // 2
# Characters around a find that are shown, and of texts that are kept until the end of the test's phase.
CONTEXT = 80
KEPT = 1 << 20
# Looking at the living objects takes one part in SCANS of the time.
SCANS = 100

PACKAGES = "aliyun_sdk_secretsmanager_"
OUR_RECORD, SDK_RECORD = "a record of the logger ", "a record of an SDK's logger, "
# What every record has; the rest are its fields.
ATTRIBUTES = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
SECRET_KEYS = ("credentials_access_secret", "credentials_access_token", "credentials_security_token")


class Ledger:
    """All secrets made so far, in each form in which they may be shown. A search takes no longer with more of them."""

    def __init__(self):
        self._grams = {}

    def add(self, *secrets):
        for secret in filter(None, secrets):
            telling = len(secret) >= SHORTEST and len(set(secret)) >= FEWEST_CHARACTERS
            if telling and (len(secret) > LONGEST_WORD or any(map(str.isdigit, secret))):
                quoted = quote(secret, safe="")
                encoded = base64.b64encode(secret.encode("utf-8", "surrogatepass")).decode("ascii")
                for form in {secret, quoted, quote(quoted), json.dumps(secret)[1:-1], repr(secret)[1:-1], encoded}:
                    for start in range(STRIDE):
                        self._grams.setdefault(form[start:start + STRIDE], set()).add(form)

    def found_in(self, text):
        """Return the forms of secrets that are in a text."""
        grams = {text[start:start + STRIDE] for start in range(0, len(text), STRIDE)}
        candidates = set().union(*(self._grams[gram] for gram in grams & self._grams.keys()))
        return [form for form in candidates if form in text]

    def masked(self, text):
        for form in sorted(self.found_in(text), key=len, reverse=True):
            text = text.replace(form, MASK)
        return text


class Watch:
    """The texts that were shown since the last look, and those among them with secrets."""

    def __init__(self, ledger):
        self._ledger = ledger
        self._shown = []
        self._length = 0
        self._finds = []
        self._scanned = self._scan_took = 0.0

    def open(self):
        self._pid = os.getpid()
        # The finds of forked children, whose memory ends with them.
        self._of_children = tempfile.TemporaryFile("ab+", buffering=0)

    def close(self):
        self._of_children.close()

    def show(self, where, text):
        """Note a text. It is searched at the end of the test's phase, since the ledger may learn of its secret late."""
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")
        if not text:
            return
        self._shown.append((where, text))
        self._length += len(text)
        if os.getpid() != self._pid:
            self._search()
            self._of_children.write("".join(find + "\n" for find in self._finds).encode("utf-8", "replace"))
            self._finds = []
        elif self._length > KEPT:
            self._search()

    def scan_objects(self):
        """Note the reprs of the packages' living objects. As this takes long, only some of the calls do so."""
        began = time.monotonic()
        if began - self._scanned < SCANS * self._scan_took:
            return
        # Faults are left out, since they show the answer that the test chose.
        classes = {value for name, module in list(sys.modules.items()) if module and name.startswith(PACKAGES)
                   for value in list(vars(module).values())
                   if isinstance(value, type) and value.__module__.startswith(PACKAGES) and value is not Fault
                   and (value.__repr__ is not object.__repr__ or value.__str__ is not object.__str__)}
        for one in gc.get_objects():
            if type(one) in classes:
                try:
                    shown = "{!r} {}".format(one, one)
                except AttributeError:  # another thread is still making it
                    continue
                self.show("the repr of a " + type(one).__name__, shown)
        self._scanned = time.monotonic()
        self._scan_took = self._scanned - began

    def finds(self):
        """Return a line for each find since the last call, with the secret masked."""
        self._search()
        self._of_children.seek(0)
        of_children = self._of_children.read().decode("utf-8", "replace").splitlines()
        self._of_children.truncate(0)
        finds, self._finds = self._finds + of_children, []
        return finds

    def _search(self):
        shown, self._shown, self._length = self._shown, [], 0
        if not self._ledger.found_in("\n".join(text for _, text in shown)):
            return
        for where, text in shown:
            for form in self._ledger.found_in(text):
                at = text.index(form)
                context = text[max(at - CONTEXT, 0):at] + MASK + text[at + len(form):][:CONTEXT]
                self._finds.append("{}: {!r}".format(where, self._ledger.masked(context)))


ledger = Ledger()
watch = Watch(ledger)
patches = pytest.MonkeyPatch()


def after(owner, name, tell):
    """Make ``tell`` be called after each call of a function, with its result and its arguments."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def told(*args, **kwargs):
        result = original(*args, **kwargs)
        tell(result, *args, **kwargs)
        return result

    patches.setattr(owner, name, staticmethod(told) if name == "__new__" else told)


def learn_secrets():
    """Tell the ledger of every secret that a local cloud makes, or a test gives to the packages."""
    from aliyun_sdk_secretsmanager_common_plugin import access_key
    from aliyun_sdk_secretsmanager_common_plugin.settings import loading, settings
    from aliyun_sdk_secretsmanager_testing import client_key, cloud, keyring
    from aliyun_sdk_secretsmanager_testing.metadata.state import Instance
    from aliyun_sdk_secretsmanager_testing.secrets_manager.state import Vault
    from aliyun_sdk_secretsmanager_testing.sts.state import OidcProvider

    def of_key(_, holder, *args, **kwargs):
        ledger.add(holder.access_key_secret, holder.security_token)

    after(access_key.AccessKey, "__init__", of_key)
    after(keyring.Keyring, "add", lambda _, keys, pair, *args, **kwargs: of_key(_, pair))
    after(settings.IdentitySettings, "__new__", lambda made, *args, **kwargs: of_key(None, made))
    for sealed in (settings.ClientKeySettings, settings.CacheFileSettings, settings.SharedStoreSettings):
        after(sealed, "__new__", lambda made, *args, **kwargs: ledger.add(made.password, getattr(made, "auth", None)))
    after(loading._Properties, "__init__", lambda _, properties, source, entries: ledger.add(
        *(entries[key].value for key in SECRET_KEYS if key in entries)))
    after(Vault, "_arbitrary", lambda made, *args: ledger.add(made.data))
    after(OidcProvider, "issue", lambda token, *args, **kwargs: ledger.add(token))
    after(Instance, "issue_token", lambda token, *args, **kwargs: ledger.add(token))
    after(client_key, "_private_key", lambda key, *args: ledger.add(*forms_of(key)))
    after(cloud, "new_client_key", lambda made, directory, nth, password, *args: ledger.add(password))


def forms_of(private_key):
    """Yield the secret parts of an RSA key, as numbers and as lines of a PEM file."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    numbers = private_key.private_numbers()
    for number in (numbers.d, numbers.p, numbers.q):
        yield str(number)
        yield "{:x}".format(number)
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        pem = private_key.private_bytes(Encoding.PEM, form, NoEncryption()).decode("ascii")
        # The first lines have the modulus, which is public.
        for line in pem.splitlines()[8:-1]:
            yield line


def chain_of(error):
    """Return the text that a report of an error and its causes could show, even of suppressed causes."""
    chain = []
    pending = [error]
    while pending:
        one = pending.pop()
        if one is not None and not any(one is other for other in chain):
            chain.append(one)
            pending += [one.__cause__, one.__context__]
    return "\n".join("{} {!r} {}".format(one, one, vars(one)) for one in chain)


def watch_logs():
    """See all records, whatever the levels, after the filters of their loggers."""
    is_enabled_for, call_handlers = logging.Logger.isEnabledFor, logging.Logger.callHandlers

    def see(logger, record):
        try:
            text = record.getMessage()
        except Exception:
            text = ""  # a broken record, which logging itself reports
        if record.exc_info and record.exc_info[1] is not None:
            text += "\n" + chain_of(record.exc_info[1])
        fields = "".join("\n{} {!r}".format(*field) for field in vars(record).items() if field[0] not in ATTRIBUTES)
        prefix = OUR_RECORD if record.name.startswith(PACKAGES) else SDK_RECORD
        watch.show(prefix + record.name, "\n".join(filter(
            None, (text, record.exc_text, record.stack_info, fields))))
        if is_enabled_for(logger, record.levelno):
            call_handlers(logger, record)

    patches.setattr(logging.Logger, "isEnabledFor", lambda logger, level: True)
    patches.setattr(logging.Logger, "callHandlers", see)


def watch_errors_and_output():
    """See what tests take for themselves: errors and warnings that they expect, and output that they read."""

    def of_raises(_, context, kind, error, traceback):
        if error is not None:
            watch.show("an exception", chain_of(error))

    def of_output(shown, *args, **kwargs):
        for text in shown:
            watch.show("the output", text)

    after(type(pytest.raises(Exception)), "__exit__", of_raises)
    after(warnings, "_showwarnmsg", lambda _, message: watch.show("a warning", str(message.message)))
    after(pytest.CaptureFixture, "readouterr", of_output)
    after(subprocess.Popen, "communicate", of_output)
    after(terminal, "rest_of", lambda shown, *args: watch.show("a terminal", shown))


def pytest_configure(config):
    config.addinivalue_line("markers", "plain_sdks: uses the SDKs without the plugins, and so without their filters")
    watch.open()
    learn_secrets()
    watch_logs()
    watch_errors_and_output()


def pytest_unconfigure():
    patches.undo()
    watch.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if call.when == "call":
        watch.scan_objects()
    if call.excinfo is not None:
        watch.show("an exception", chain_of(call.excinfo.value))
    for title, text in report.sections:
        if title in ("Captured stdout " + call.when, "Captured stderr " + call.when):
            watch.show("the output", text)
    finds = watch.finds()
    if item.get_closest_marker("plain_sdks") is not None:
        finds = [find for find in finds if not find.startswith(SDK_RECORD)]
    if finds:
        report.outcome = "failed"
        report.sections = [(title, ledger.masked(text)) for title, text in report.sections]
        report.longrepr = "\n".join([ledger.masked(report.longreprtext), "The test shows secrets, in:"] + finds).strip()


@pytest.hookimpl(tryfirst=True)
def pytest_warning_recorded(warning_message):
    warning_message.message = ledger.masked(str(warning_message.message))
