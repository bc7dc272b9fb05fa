"""What ``init`` asks and what it writes, without any input or output of its own."""

import json
import os
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence

from aliyun_sdk_secretsmanager_common_plugin.exceptions import ConfigurationError
from aliyun_sdk_secretsmanager_common_plugin.secrecy import shown_path
from aliyun_sdk_secretsmanager_common_plugin.settings import settings_from
from aliyun_sdk_secretsmanager_common_plugin.settings.raw_value import did_you_mean

# The ways to read secrets, and what each one is. The last one asks the gateway of a KMS instance.
WAYS = {
    "ak": "an AccessKey that may do nothing but read secrets",
    "token": "the same, with the key names of older files",
    "sts_token": "an STS token, which nothing renews",
    "ram_role": "a RAM role, assumed with an AccessKey",
    "ecs_ram_role": "the RAM role of the ECS instance",
    "oidc_role_arn": "a RAM role, assumed with an OIDC token (RRSA of ACK)",
    "credentials_uri": "temporary credentials that a URI gives",
    "default": "the default chain of alibabacloud-credentials",
    "client_key": "a client key of a KMS application access point",
    "dedicated": "a client key, at the dedicated gateway of a KMS instance",
}


class Question(NamedTuple):
    """One question.

    Attributes:
        name: the name of the answer, with "_"; with "-" it is the flag.
        key: the key of the properties file, or the field of a gateway's entry.
        text: what is asked.
        example: a valid answer.
        required: whether an empty answer is wrong.
        secret: whether the answer must not be seen.
        is_path: whether the answer is a path, which is written as an absolute one.
        variable: the environment variable that can replace the answer where the application runs.
    """

    name: str
    key: str
    text: str
    example: str
    required: bool = True
    secret: bool = False
    is_path: bool = False
    variable: str = ""


WAY = Question("type", "credentials_type", "How does the application identify itself?", "ak")
_ID = Question("access_key_id", "credentials_access_key_id", "AccessKey id", "LTAI0000000000000000")
_SECRET = Question("access_key_secret", "credentials_access_secret", "AccessKey secret", "x" * 30, secret=True)
_ROLE = Question("role_arn", "credentials_role_arn", "ARN of the role", "acs:ram::1:role/app",
                 variable="ALIBABA_CLOUD_ROLE_ARN")
_KEY_FILE = Question("client_key_file", "client_key_private_key_path", "File of the client key", "/client-key.json",
                     is_path=True)
_PASSWORD_FILE = Question("password_file", "client_key_password_from_file_path", "File with its password (empty if an "
                          "environment variable holds it)", "", required=False, is_path=True)
_PASSWORD_VARIABLE = Question("password_variable", "client_key_password_from_env_variable",
                              "Environment variable with its password", "PATH")
_REGIONS = Question("regions", "cache_client_region_id", "Regions of the secrets, separated by commas; a region may "
                    "have an endpoint of its own, as in cn-hangzhou=host:port", "cn-hangzhou")
_VPC = Question("vpc", "vpc", "Does the application run in a VPC of these regions? (yes or no; empty means no)", "no",
                required=False)
_NAMES = Question("secret_names", "secret_names", "Secrets to read at start, separated by commas (empty means none)",
                  "", required=False)
_QUESTIONS = {
    "ak": [_ID, _SECRET],
    "token": [_ID._replace(key="credentials_access_token_id"), _SECRET._replace(key="credentials_access_token")],
    "sts_token": [_ID, _SECRET, Question("security_token", "credentials_security_token", "Security token", "x" * 30,
                                         secret=True)],
    "ram_role": [_ID, _SECRET, _ROLE,
                 Question("role_session_name", "credentials_role_session_name", "Session name that ActionTrail shows",
                          "my-app", variable="ALIBABA_CLOUD_ROLE_SESSION_NAME")],
    "ecs_ram_role": [Question("role_name", "credentials_role_name", "Name of the role (empty: found automatically)",
                              "", required=False)],
    "oidc_role_arn": [
        _ROLE,
        Question("oidc_provider_arn", "credentials_oidc_provider_arn", "ARN of the OIDC provider",
                 "acs:ram::1:oidc-provider/ack", variable="ALIBABA_CLOUD_OIDC_PROVIDER_ARN"),
        Question("oidc_token_file", "credentials_oidc_token_file_path", "File with the OIDC token", "/oidc-token",
                 is_path=True, variable="ALIBABA_CLOUD_OIDC_TOKEN_FILE")],
    "credentials_uri": [Question("uri", "credentials_uri", "URI", "http://127.0.0.1/",
                                 variable="ALIBABA_CLOUD_CREDENTIALS_URI")],
    "default": [],
    "client_key": [_KEY_FILE, _PASSWORD_FILE, _PASSWORD_VARIABLE],
    "dedicated": [
        Question("region", "regionId", "Region of the KMS instance", "cn-hangzhou"),
        Question("endpoint", "endpoint", "Endpoint, <instance id>.cryptoservice.kms.aliyuncs.com", "a.example.com"),
        _KEY_FILE._replace(key="clientKeyFile"), _PASSWORD_FILE._replace(key="passwordFromFilePath"),
        _PASSWORD_VARIABLE._replace(key="passwordFromEnvVariable"),
        Question("ca_file", "caFilePath", "PEM file of the instance's CA (empty: the CAs of the system)", "",
                 required=False, is_path=True)],
}
# All questions that may be asked, by name.
QUESTIONS: Dict[str, Question] = {
    question.name: question
    for questions in [[WAY], _QUESTIONS["sts_token"], _QUESTIONS["ram_role"], *_QUESTIONS.values(),
                      [_REGIONS, _VPC, _NAMES]]
    for question in questions}


def questions_for(answers: Mapping[str, str]) -> List[Question]:
    """Return the questions that these answers lead to, answered ones too."""
    way = answers.get("type", "")
    if way not in WAYS:
        return [WAY]
    questions = [WAY] + _QUESTIONS[way] + ([] if way == "dedicated" else [_REGIONS, _VPC]) + [_NAMES]
    if answers.get("password_file"):
        questions = [question for question in questions if question.name != "password_variable"]
    return [question._replace(required=False, text="{} (empty: the value of {})".format(
        question.text, question.variable)) if os.environ.get(question.variable) else question for question in questions]


def problem_of(answers: Mapping[str, str]) -> str:
    """Return what is wrong with the answers so far; empty if nothing is. The questions left get valid answers first."""
    if "type" in answers and answers["type"] not in WAYS:
        return "there is no such type{}; the types are: {}".format(
            did_you_mean(answers["type"], list(WAYS)), ", ".join(WAYS))
    if "type" not in answers:
        return ""
    questions = questions_for(answers)
    for question in questions:
        if question.required and answers.get(question.name) == "":
            return "an answer is needed" + ("" if question.secret else ", such as " + question.example)
    key_file = answers.get("client_key_file", "")
    if key_file and not os.path.isfile(key_file):
        return "there is no file {}; give the file that was downloaded from KMS".format(shown_path(key_file))
    if answers.get("vpc", "") not in ("", "yes", "no"):
        return "answer yes or no"
    whole = dict({question.name: question.example for question in questions if question.required}, **answers)
    try:
        values = values_of(whole)
        for value in values.values():
            if value.endswith("\\"):
                return "it ends in a backslash, which a properties file cannot hold"
        settings_from("the answers", values)
    except ConfigurationError as error:
        return str(error).replace("the answers: ", "")
    return ""


def values_of(answers: Mapping[str, str]) -> Dict[str, str]:
    """Return the values of the properties file, by key, that complete answers lead to."""
    values: Dict[str, str] = {}
    given: Dict[str, str] = {}
    for question in questions_for(answers):
        answer = answers.get(question.name, "").strip(" \t\f")
        if answer and question.is_path:
            answer = os.path.abspath(answer)
        if answer:
            given[question.name], values[question.key] = answer, answer
    if answers["type"] == "dedicated":
        names = values.pop("secret_names", "")
        del values["credentials_type"]
        values = {"cache_client_dkms_config_info": json.dumps([values])}
        if names:
            values["secret_names"] = names
    else:
        is_vpc = values.pop("vpc", "no") == "yes"
        regions = given["regions"].split(",")
        values["cache_client_region_id"] = json.dumps([_entry(region, is_vpc) for region in regions])
    return values


def _entry(region: str, is_vpc: bool) -> Dict[str, object]:
    """Return the entry of a region, which may be followed by "=" and its own endpoint."""
    region_id, separator, endpoint = (part.strip() for part in region.partition("="))
    entry: Dict[str, object] = {"regionId": region_id}
    if separator:
        if not endpoint:
            raise ConfigurationError("the endpoint after {}= is empty".format(region_id))
        entry["endpoint"] = endpoint
    elif is_vpc:
        entry["vpc"] = True
    return entry


def text_of(values: Mapping[str, str]) -> str:
    """Return the properties file with these values, which ``problem_of`` found to be right."""
    head = "# Written by managed-credentials init. managed_credentials_providers.properties.example has every key.\n"
    return head + "".join("{}={}\n".format(key, value) for key, value in values.items())


def missing(answers: Mapping[str, str]) -> Sequence[Question]:
    """Return the required questions that have no answer yet."""
    return [question for question in questions_for(answers) if question.required and question.name not in answers]


def next_question(answers: Mapping[str, str]) -> Optional[Question]:
    """Return the first question without an answer, or None if there is none left."""
    return next((question for question in questions_for(answers) if question.name not in answers), None)
