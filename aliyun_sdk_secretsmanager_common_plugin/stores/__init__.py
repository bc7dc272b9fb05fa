"""Where keys are stored beyond the end of the process."""
