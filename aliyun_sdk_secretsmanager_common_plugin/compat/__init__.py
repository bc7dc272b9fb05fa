"""The names of the existing plugin, built on this package. Modules at its old paths import them from here."""
