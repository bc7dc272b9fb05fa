"""The routes of the controls, and the method of ``Control`` (without its underscore) that answers each."""

ROUTES = {
    ("GET", "/"): "describe",
    ("POST", "/secrets"): "create_secret",
    ("POST", "/secrets/rotate"): "rotate",
    ("POST", "/secrets/rollback"): "rollback",
    ("POST", "/secrets/disable"): "disable",
    ("POST", "/secrets/enable"): "enable",
    ("POST", "/buckets"): "create_bucket",
    ("GET", "/objects"): "describe_object",
    ("POST", "/uploads"): "refuse_uploads",
    ("POST", "/faults"): "inject",
    ("DELETE", "/faults"): "clear",
    ("GET", "/calls"): "calls",
}
