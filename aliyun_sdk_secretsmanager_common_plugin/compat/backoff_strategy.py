"""How long a first read waits between attempts."""


class BackoffStrategy:
    """The base of backoff strategies. Those of ``aliyun-secret-manager-client`` work as well."""

    def init(self) -> None:
        """Called once, before the first read."""

    def get_wait_time_exponential(self, retry_times: int) -> float:
        """Return the milliseconds to wait before the next attempt, or a negative number to give up.

        Args:
            retry_times: the number of waits so far.
        """
        raise NotImplementedError("a subclass of BackoffStrategy defines get_wait_time_exponential(retry_times)")


class FullJitterBackoffStrategy(BackoffStrategy):
    """Doubles the wait each time.

    Args:
        retry_max_attempts: the largest number of waits.
        retry_initial_interval_mills: the first wait, in milliseconds.
        capacity: the longest wait, in milliseconds.
    """

    def __init__(
        self, retry_max_attempts: float = 5, retry_initial_interval_mills: float = 2000, capacity: float = 10000
    ) -> None:
        self.retry_max_attempts = retry_max_attempts
        self.retry_initial_interval_mills = retry_initial_interval_mills
        self.capacity = capacity

    def get_wait_time_exponential(self, retry_times: int) -> float:
        """Return the milliseconds to wait before the next attempt, -1 after ``retry_max_attempts``."""
        if retry_times > self.retry_max_attempts:
            return -1
        return min(self.capacity, (1 << min(retry_times, 64)) * self.retry_initial_interval_mills)
