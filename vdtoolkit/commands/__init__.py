"""The commands: `vdtoolkit train`, `evaluate`, `check-env`."""
