"""What holds for every plugin: the tests of each example inherit them, and say how its client is made and called."""

import multiprocessing

import pytest

from aliyun_sdk_secretsmanager_common_plugin import AKExpireHandler, ManagedCredentialsError
from tests.conftest import SECRET

from .services import Refused


class PluginBehaviour:
    """Subclasses have the fixtures ``service`` and ``make_client``, the method ``call``, and ``error``, the SDK's."""

    @pytest.fixture
    def client(self, make_client):
        return make_client(SECRET)

    def test_call_over_a_rotation(self, cloud, service, client):
        self.call(client)
        new = cloud.rotate(SECRET)

        self.call(client)

        assert service.statuses() == [200, service.unknown_key().status, 200]
        assert service.calls[-1].access_key_id == new.access_key_id
        assert len(cloud.calls("secrets_manager")) == 2

    def test_two_secrets_with_a_token_and_without(self, cloud, service, make_client):
        cloud.create_secret("sts", token=True)
        service.secret_name = "sts"
        client = make_client("sts")
        self.call(client)
        cloud.rotate("sts")
        self.call(client)
        cloud.rotate("sts", token=False)

        self.call(client)

        assert service.statuses()[0] == service.statuses()[-1] == 200

    def test_threads_share_a_client_and_renew_once(self, cloud, service, client, in_threads):
        self.call(client)
        cloud.rotate(SECRET)

        in_threads([lambda: self.call(client)] * 8)

        assert service.statuses().count(200) == 9
        assert len(cloud.calls("secrets_manager")) == 2

    def test_nothing_is_put_into_the_client_that_threads_share(self, cloud, client):
        before = dict(vars(client))
        cloud.rotate(SECRET)

        self.call(client)

        assert vars(client) == before

    def test_other_errors_surface_at_once(self, cloud, service, client):
        service.refusals.append(Refused(400, "ParameterInvalid", "no such thing"))

        with pytest.raises(self.error) as caught:
            self.call(client)

        assert caught.value.get_error_code() == "ParameterInvalid"
        assert service.statuses() == [400]
        assert len(cloud.calls("secrets_manager")) == 1

    def test_error_of_the_service_surfaces_where_there_is_no_newer_key(self, service, client):
        self.call(client)
        service.refusals.append(service.unknown_key())

        with pytest.raises(self.error) as caught:
            self.call(client)

        assert caught.value.get_error_code() == service.unknown_key().code

    def test_handler_of_the_users_own_decides(self, cloud, service, make_client):
        class Nothing(AKExpireHandler):
            def judge_ak_expire(self, exception):
                return False

        client = make_client(SECRET, ak_expire_handler=Nothing())
        cloud.rotate(SECRET)

        with pytest.raises(self.error):
            self.call(client)

    def test_leaving_a_with_block_shuts_the_client_down(self, service, make_client):
        with make_client(SECRET) as client:
            self.call(client)

        with pytest.raises(ManagedCredentialsError, match="shut down"):
            self.call(client)

    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
    def test_forked_child_has_sockets_of_its_own(self, service, client):
        self.call(client)
        child = multiprocessing.get_context("fork").Process(target=self.call, args=(client,))
        child.start()
        child.join(60)
        self.call(client)

        assert child.exitcode == 0
        first, childs, second = (call.connection for call in service.calls)
        assert childs != first
        assert second == first
