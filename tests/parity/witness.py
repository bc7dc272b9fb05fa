"""The official client alone: its own builder, credentials, retries and TLS, and nothing of ours."""


def request(secret_name):
    """Return a request as ``SecretManagerCacheClient`` makes it."""
    from aliyunsdkkms.request.v20160120.GetSecretValueRequest import GetSecretValueRequest

    made = GetSecretValueRequest()
    made.set_SecretName(secret_name)
    made.set_VersionStage("ACSCurrent")
    made.set_FetchExtendedConfig(True)
    made.set_accept_format("JSON")
    return made


def builder():
    from alibaba_cloud_secretsmanager_client.service.default_secret_manager_client_builder import (
        BaseSecretManagerClientBuilder,
    )

    return BaseSecretManagerClientBuilder.standard()


def shared(cloud, builder):
    """Return a client of the shared gateway, from a builder with credentials."""
    from alibaba_cloud_secretsmanager_client.model.region_info import RegionInfo

    client = builder.add_region_info(RegionInfo("cn-hangzhou", endpoint=cloud.gateway_endpoint())).build()
    client.init()
    return client


def dedicated(cloud, client_key, password):
    """Return a client of the dedicated gateway."""
    from alibaba_cloud_secretsmanager_client.model.dkms_config import DKmsConfig

    config = DKmsConfig(ca_file_path=cloud.ca_file)
    config.region_id = "cn-hangzhou"
    config.endpoint = cloud.dedicated_endpoint()
    config.client_key_file = client_key.path
    config.password = password
    client = builder().add_dkms_config(config).build()
    client.init()
    return client


def with_client_key(client_key, password):
    """Return a builder with the credentials of ``credentials_type=client_key``."""
    from alibaba_cloud_secretsmanager_client.model.client_key_credentials import ClientKeyCredential
    from alibaba_cloud_secretsmanager_client.utils import client_key_utils

    credential, signer = client_key_utils.load_rsa_key_pair_credential_and_client_key_signer(client_key.path, password)
    return builder().with_credentials(ClientKeyCredential(signer, credential))
