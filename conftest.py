"""The suite's face: turns the plugin on, nothing more."""

pytest_plugins = ["torchclaims.plugin"]
