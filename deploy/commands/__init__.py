"""The `mediabeat` commands, one file each."""
