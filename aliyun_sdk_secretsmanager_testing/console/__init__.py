"""The console: a page that shows a local cloud in a browser, live, and has buttons for its controls."""
