"""What is known of the documentation: sources that exist, terms that are pinned, a table of what has claims."""

import pytest
from packaging.version import Version

from selftests.toy import CLAIM
from torchclaims import catalogue as catalogues
from torchclaims import documentation
from torchclaims.__main__ import main
from torchclaims.targets import RELEASE

CATALOGUE = catalogues.load(catalogues.home())
SOURCES = {}
for one in CATALOGUE.claims.values():
    for source in one.sources:
        SOURCES.setdefault(source, []).append(one)
OBJECTS = sorted(source for source in SOURCES if documentation.is_object(source))


@pytest.mark.skipif(Version("2.13") > RELEASE, reason="terms are pinned in the documentation of 2.13 and later")
def test_the_documentation_says_what_is_pinned():
    assert list(documentation.changes(CATALOGUE, CATALOGUE.claims.values())) == []


def test_each_documented_object_has_its_terms():
    here = [name for name in OBJECTS if documentation.text_of(name)]
    counts = {name: len(CATALOGUE.documented.get(name, ())) for name in here}
    short = {name for name in here if len(documentation.text_of(name).split()) <= 8}  # where one term is all there is
    assert [name for name, count in counts.items() if not (1 if name in short else 2) <= count <= 3] == []
    assert [name for name in CATALOGUE.documented if name not in OBJECTS] == []


def test_other_sources_are_pages():
    pages = {source.partition(":")[0] for source in SOURCES if not documentation.is_object(source)}
    assert all(page.replace("/", "").replace("_", "").isalpha() and page == page.lower() for page in pages), pages


def test_a_changed_documentation_is_a_note(run, toy_suite):
    (toy_suite / "documentation.toml").write_text('"torch.nn.ReLU" = ["rectified linear", "no such words"]')
    result = run()
    assert result.ret == 0
    note = "torch.nn.ReLU no longer says 'no such words'; it is a source of toy-relu-clips"
    result.stdout.fnmatch_lines([f"the documentation changed here: {note}"])


def test_an_object_that_is_gone_is_a_note(run, toy_suite):
    (toy_suite / "test_toy" / "claims.toml").write_text(CLAIM.replace("torch.nn.ReLU", "torch.nn.Gone"))
    (toy_suite / "documentation.toml").write_text('"torch.nn.Gone" = ["words"]')
    result = run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["the documentation changed here: torch.nn.Gone is not there; *"])


@pytest.mark.parametrize("text", ['"torch.nn.ReLU" = []', '"torch.nn.ReLU" = "words"', '"torch.nn.ReLU" = [1]', "["])
def test_a_file_of_terms_that_cannot_be_read(run, toy_suite, text):
    (toy_suite / "documentation.toml").write_text(text)
    result = run()
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: *documentation.toml*"])


def test_the_table_counts_claims_by_object(capsys):
    assert main(["coverage"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = {line.split()[0]: line.split()[1] for line in lines if line.startswith("    ")}
    for name, objects in documentation.namespaces().items():
        assert any(line.startswith(f"{name}: ") for line in lines)
        assert set(objects) <= set(names)
    of_batch_norm = {
        one.id
        for source, claims in SOURCES.items()
        if f"{source}.".startswith("torch.nn.BatchNorm2d.")
        for one in claims
    }
    assert names["BatchNorm2d"] == str(len(of_batch_norm))
    assert main(["coverage", "--missing"]) == 0
    assert "BatchNorm2d" not in capsys.readouterr().out.split()
