"""Who decides whether a service's error means "this key is no longer valid"."""


class AKExpireHandler:
    """Decides what a rejected key looks like. Subclass it, and give an instance to a proxy.

    Only errors that a service answered to a request signed with the managed key are asked about.
    """

    def judge_ak_expire(self, exception: Exception) -> bool:
        """Return whether ``exception``, the service's answer, means that the key is no longer valid.

        A judge that raises is logged, and counts as False.
        """
        raise NotImplementedError("a subclass of AKExpireHandler defines judge_ak_expire(exception)")
