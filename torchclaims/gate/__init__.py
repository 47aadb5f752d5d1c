"""Is this build slower? The paired comparison of two builds, with a stated chance of being wrong."""
