"""The codec of the dedicated gateway's messages, compared with the ``protobuf`` package."""

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from aliyun_sdk_secretsmanager_common_plugin.secrets_manager import protobuf

from .fakes import quick

FIELDS = descriptor_pb2.FieldDescriptorProto


def message_class(name, fields):
    """Return the class of a message with fields ``(number, name, type, label)``."""
    file = descriptor_pb2.FileDescriptorProto(name=name + ".proto", package="test", syntax="proto3")
    message = file.message_type.add(name=name)
    for number, field, kind, label in fields:
        message.field.add(number=number, name=field, type=kind, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    descriptor = pool.FindMessageTypeByName("test." + name)
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(pool).GetPrototype(descriptor)


Question = message_class("Question", [
    (1, "name", FIELDS.TYPE_STRING, FIELDS.LABEL_OPTIONAL),
    (2, "stage", FIELDS.TYPE_STRING, FIELDS.LABEL_OPTIONAL),
    (4, "extended", FIELDS.TYPE_BOOL, FIELDS.LABEL_OPTIONAL),
    (17, "far", FIELDS.TYPE_STRING, FIELDS.LABEL_OPTIONAL),
])
Answer = message_class("Answer", [
    (1, "status", FIELDS.TYPE_INT32, FIELDS.LABEL_OPTIONAL),
    (2, "code", FIELDS.TYPE_STRING, FIELDS.LABEL_OPTIONAL),
    (3, "stages", FIELDS.TYPE_STRING, FIELDS.LABEL_REPEATED),
    (4, "ratio", FIELDS.TYPE_DOUBLE, FIELDS.LABEL_OPTIONAL),
    (5, "share", FIELDS.TYPE_FLOAT, FIELDS.LABEL_OPTIONAL),
    (300, "far", FIELDS.TYPE_STRING, FIELDS.LABEL_OPTIONAL),
])
TEXTS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=300)


@quick
@given(name=TEXTS, stage=TEXTS, extended=st.booleans(), far=TEXTS)
def test_message_is_that_of_the_protobuf_package(name, stage, extended, far):
    theirs = Question(name=name, stage=stage, extended=extended, far=far)

    assert protobuf.encode({1: name, 2: stage, 4: extended, 17: far}) == theirs.SerializeToString(deterministic=True)


@quick
@given(status=st.integers(-2 ** 31, 2 ** 31 - 1), code=TEXTS, stages=st.lists(TEXTS, max_size=3), ratio=st.floats(),
       share=st.floats(width=32), far=TEXTS)
def test_texts_of_their_message_are_read_and_other_fields_skipped(status, code, stages, ratio, share, far):
    message = Answer(status=status, code=code, stages=stages, ratio=ratio, share=share, far=far).SerializeToString()

    texts = protobuf.decode(message, (2, 3, 300))

    assert texts == {number: given for number, given in ((2, [code]), (3, stages), (300, [far])) if any(given) or
                     (number == 3 and given)}


@quick
@given(name=TEXTS)
def test_what_was_written_is_read(name):
    assert protobuf.decode(protobuf.encode({1: name, 4: True}), (1,)) == ({1: [name]} if name else {})


@pytest.mark.parametrize("length", [127, 128, 16383, 16384, 70000])
def test_lengths_that_need_another_byte(length):
    message = protobuf.encode({1: "x" * length})

    assert message == Question(name="x" * length).SerializeToString()
    assert protobuf.decode(message, (1,)) == {1: ["x" * length]}


@pytest.mark.parametrize("message", [
    b"\x0a", b"\x0a\x05abc", b"\x80", b"\x80" * 11, b"\x00\x01", b"\x0b", b"\x0c", b"\x0e", b"\x0f", b"\x09abc",
    b"\x0dabc", b"\x0a\x02\xff\xfe", b"<html><body>Bad Gateway</body></html>",
])
def test_what_is_no_message_is_a_value_error(message):
    with pytest.raises(ValueError):  # noqa: PT011
        protobuf.decode(message, (1,))


def test_other_fields_may_hold_any_bytes():
    message = protobuf.encode({1: "text"}) + b"\x12\x02\xff\xfe" + b"\xa2\x06\x01\x80"

    assert protobuf.decode(message, (1,)) == {1: ["text"]}


@quick
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_a_value_error(message):
    try:
        texts = protobuf.decode(message, range(100))
    except ValueError:
        return
    assert all(isinstance(text, str) for given in texts.values() for text in given)
