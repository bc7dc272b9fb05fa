"""The paths of the controls, and the methods of ``Control`` that answer them."""

ROUTES = {
    ("GET", "/"): "describe",
    ("POST", "/secrets"): "create_secret",
    ("POST", "/secrets/rotate"): "rotate",
    ("POST", "/secrets/rollback"): "rollback",
    ("POST", "/buckets"): "create_bucket",
    ("GET", "/objects"): "describe_object",
    ("POST", "/uploads"): "refuse_uploads",
    ("POST", "/faults"): "inject",
    ("DELETE", "/faults"): "clear",
    ("GET", "/calls"): "calls",
}
