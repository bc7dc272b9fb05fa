"""What ``init`` writes loads as it was answered, whatever the answer."""

import os
import tempfile

from hypothesis import example, given
from hypothesis import strategies as st

from aliyun_sdk_secretsmanager_cli.questions import problem_of, text_of, values_of
from aliyun_sdk_secretsmanager_common_plugin.settings import load_settings
from tests.common.fakes import quick

ODD = st.text(st.sampled_from("ab=#!:\\\"' \t,{}[]<>$%\u00a0\u2028\u0085\ufeff\u4f60\U0001f511"), max_size=8) | st.text()


def loaded(answers):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "a.properties")
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(text_of(values_of(answers)))
        return load_settings(path)


@quick
@given(ODD, ODD)
@example("a=b#c\\d", "\\\\x y")
@example("#a", "!b")
@example("\ufeffa", "\u2028b")
@example("a\\", "b")
def test_any_answer_that_is_taken_is_loaded_unchanged(secret, session):
    answers = {"type": "ram_role", "access_key_id": "LTAI-1", "access_key_secret": secret, "role_arn": "acs:ram::1:role/a",
               "role_session_name": session, "regions": "cn-hangzhou"}

    if not problem_of(answers):
        identity = loaded(answers).identity

        assert identity.access_key_secret == secret.strip(" \t\f")
        assert identity.role_session_name == session.strip(" \t\f")


@quick
@given(ODD)
def test_any_names_of_secrets_that_are_taken_are_loaded_unchanged(names):
    answers = {"type": "default", "regions": "cn-hangzhou", "secret_names": names}

    if not problem_of(answers):
        expected = [name.strip() for name in names.strip(" \t\f").split(",")] if names.strip(" \t\f") else []
        assert loaded(answers).secret_names == tuple(dict.fromkeys(expected))
