"""The paths of the console."""

PAGE = "/console/"
STATE = PAGE + "state"

# The files of this package that a browser loads, with their types.
FILES = {
    PAGE: ("console.html", "text/html; charset=utf-8"),
    PAGE + "console.css": ("console.css", "text/css; charset=utf-8"),
    PAGE + "console.js": ("console.js", "text/javascript; charset=utf-8"),
}

# What POST requests do: the method and the path of the control that does it.
OPERATIONS = {
    PAGE + "secrets/rotate": ("POST", "/secrets/rotate"),
    PAGE + "secrets/disable": ("POST", "/secrets/disable"),
    PAGE + "secrets/enable": ("POST", "/secrets/enable"),
    PAGE + "faults": ("POST", "/faults"),
    PAGE + "faults/clear": ("DELETE", "/faults"),
}
