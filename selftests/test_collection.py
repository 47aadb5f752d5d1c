"""Collection: the same tests in the same order in every process, whatever the hashes of strings."""

import os
import subprocess
import sys


def test_hash_seeds_do_not_matter(pytestconfig):
    def collected(hash_seed):
        command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "--device", "cpu"]
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        run = subprocess.run(command, cwd=pytestconfig.rootpath, env=environment, capture_output=True, text=True)
        return [line for line in run.stdout.splitlines() if "::" in line]

    assert collected("1") == collected("2") != []


def test_from_another_folder(pytestconfig, tmp_path):
    command = [sys.executable, "-m", "pytest", "-q", str(pytestconfig.rootpath / "test_bn"), "--device", "cpu"]
    run = subprocess.run([*command, "--claims", "bn-counter"], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 claims: 1 hold" in run.stdout
