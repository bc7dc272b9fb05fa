"""The constants of a keeper, each with its reason. They are seconds, or plain numbers."""

# -- How a secret is asked for -----------------------------------------------------------------------------------------

# The next gateway is asked as well if the last one has not answered after this time: a healthy one takes milliseconds.
HEDGE = 1.0
# One more gateway is asked only if this much is left of the deadline.
LEAST_SHARE = 0.05
# The waits between the attempts of a first read, before jitter; the last one repeats. A program that starts has nothing
# else to do.
FIRST_READ_DELAYS = (0.5, 1.0, 2.0, 4.0)
# While no good answer comes, at most this many requests for a secret begin in any PACE, over all gateways together.
MOST_REQUESTS = 3
PACE = 1.0
# For PACE, a request that has not ended counts as arrived after this time.
ARRIVAL = 0.25
# While Secrets Manager throttles, first reads wait for the first pause, before jitter. Then one of them tries. If it is
# throttled, the pause doubles, up to the longest. With each answer of Secrets Manager, RELEASED of them go on.
FIRST_THROTTLED_PAUSE = 0.25
LONGEST_THROTTLED_PAUSE = 4.0
RELEASED = 2
# A request may outlive the deadline of its fetch by this much. Then it is given up, and its socket is closed.
GRACE = 1.0
# For one secret and gateway, this many requests that were given up may still hang. After that, one more request starts
# each PATIENCE.
MOST_GIVEN_UP = 2
PATIENCE = 30.0
# If the program has a store, this much of a first read's time is left for asking it: RECOVERY_TIME, or this share of a
# short time.
RECOVERY_TIME = 0.5
RECOVERY_SHARE = 0.25

# -- How often it is asked for -----------------------------------------------------------------------------------------

# The length of a cool-down, before jitter. It doubles from the first to the longest.
FIRST_COOL_DOWN = 0.5
LONGEST_COOL_DOWN = 5.0
# A cool-down ends this long after its fetch began, at the latest: a fetch that hung has waited already.
COOL_DOWN_END = 5.5
# The floor: at most this many reads that lead nowhere begin in any FLOOR_PERIOD.
FLOOR_READS = 10
FLOOR_PERIOD = 10.0
# A name that cannot be read is forgotten this many lengths of its cool-down after that ends: until then the next
# cool-down doubles.
MEMORY_OF_FAILURE = 2

# -- When it is refreshed ----------------------------------------------------------------------------------------------

# A refresh comes earlier by up to this share of the interval, so that a fleet does not ask in step. After an outage a
# whole fleet reads within minutes, and would do so again after each interval: then the share is larger.
SPREAD = 0.1
SPREAD_AFTER_FAILURE = 0.5
# A refresh that failed is tried again after the first delay. The delay doubles up to the longest. If Secrets Manager
# throttles, the first delay is longer, since an early attempt would take the turn of another process.
FIRST_REFRESH_DELAY = 2.0
FIRST_THROTTLED_REFRESH_DELAY = 30.0
LONGEST_REFRESH_DELAY = 300.0
# After the date of a rotation, the new key is asked for between these two times, so that a fleet spreads.
ROTATION_SPREAD = (1.0, 30.0)
# If the date of a rotation has passed without a new version, the secret is read again after the first delay. Each
# further delay is the first one plus twice the time since, up to the longest: 5 s, 15 s, 45 s, 135 s, 300 s.
FIRST_OVERDUE_DELAY = 5.0
LONGEST_OVERDUE_DELAY = 300.0
# Temporary credentials are refreshed in the last fifth of their life, but no earlier than this before their end.
EXPIRY_PART = 5
LONGEST_EXPIRY_MARGIN = 600.0
# The schedule refreshes no secret sooner than this after it was read.
LEAST_REFRESH_DELAY = 1.0
# This many refreshes of one configuration run at a time, and this many first reads of its secret_names.
CONCURRENT_REFRESHES = 4
CONCURRENT_PRELOADS = 8
# The keeper looks at the clocks at least this often, so that a jump of one delays no refresh by more. A smaller change
# than CLOCK_JUMP is no jump.
LONGEST_SLEEP = 60.0
CLOCK_JUMP = 1.0

# -- The shared store --------------------------------------------------------------------------------------------------

# Who has the fetch lease may ask Secrets Manager for this share of the fetch's time, and no longer than LONGEST_LEASE:
# if its holder dies, another process takes over then. The others wait a little longer than that before they ask by
# themselves.
LEASE_SHARE = 0.5
LONGEST_LEASE = 1.0
WAIT_SHARE = 0.6
# An operation of the store takes at most this share of its fetch's time.
OPERATION_SHARE = 0.25
# So many stored answers that do not end a fetch are looked at. Then it goes on without the store.
MOST_FOUNDS = 4
# While another process has it, the store is asked again after these delays, before jitter. Usually an announcement
# comes earlier.
FIRST_LOOK_DELAY = 0.05
LONGEST_LOOK_DELAY = 0.4
# The time limit of an operation is counted in so many slices. A slice that ends late by more than LATE of its length
# does not count, since this process did not run meanwhile: then it is not the store that is slow. Whatever happens, an
# operation ends after MOST_STRETCH times its limit.
SLICES = 4
LATE = 0.2
MOST_STRETCH = 5
# A store that failed is left alone for the first pause. The pause doubles up to the longest.
FIRST_STORE_PAUSE = 1.0
LONGEST_STORE_PAUSE = 30.0
# The log warns of the store at most once in this time, and of values that cannot be used, too.
WARNING_PERIOD = 60.0
