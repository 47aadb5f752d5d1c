"""The catalogue: what is refused, with which line."""

import pytest

from selftests.toy import CLAIM, FAULT, TEST, write_room
from torchclaims.catalogue import CatalogueError, load

ARTICLES = """
[007]
title = "a tutorial"
url = "https://example.org"
passages = 3
"""

REFUSED = {
    "malformed TOML": ({"claims": "[toy-relu-clips]\nstatement = yes"}, r"claims\.toml: .*line 2"),
    "a duplicate in one file": ({"claims": CLAIM + CLAIM}, r"claims\.toml: .*line 9"),
    "an unknown key": ({"claims": CLAIM + 'orcale = "reference"'}, "unknown key 'orcale'; did you mean 'oracle'"),
    "a missing key": ({"claims": CLAIM.replace('since = "2.0"', "")}, "key 'since' is missing"),
    "an unknown oracle": (
        {"claims": CLAIM.replace("reference", "guess")},
        "oracle must be one of reference, .*'guess'",
    ),
    "a release that is none": ({"claims": CLAIM.replace('"2.0"', '"soon"')}, "'since' must be a release .*'soon'"),
    "no source": ({"claims": CLAIM.replace("sources", "#")}, "name where it is said"),
    "an id that is no id": ({"claims": CLAIM.replace("toy-relu-clips", "ReLU")}, "'ReLU': an id is kebab case"),
    "an unknown dtype": ({"claims": CLAIM + 'dtypes = ["float8"]'}, "dtypes must be one of float32, .*'float8'"),
    "an empty list": ({"claims": CLAIM + "modes = []"}, "'modes' must be \"all\" or a list"),
    "an empty statement": ({"claims": CLAIM.replace("ReLU leaves no negative number.", " ")}, "must be a sentence"),
    "a truth beside a source": ({"claims": CLAIM + 'truth = "It is so."'}, "'truth' stands with the verdict"),
    "a verdict on no article": ({"claims": CLAIM + 'verdict = "half"'}, "'verdict' stands with 'articles'"),
    "an unknown passage": (
        {"claims": CLAIM + 'articles = ["007-04"]\nverdict = "holds"'},
        r"articles\.toml has no passage '007-04'",
    ),
    "a refutation without the truth": (
        {"claims": CLAIM + 'articles = ["007-01"]\nverdict = "refuted"'},
        "'truth' says what is so",
    ),
    "a test of an unknown claim": (
        {"test": TEST.replace('"toy-relu-clips"', '"toy-relu-clip"')},
        r"test_toy/test_relu\.py:6: test_relu names the unknown claim 'toy-relu-clip'; did you mean 'toy-relu-clips'",
    ),
    "a fault of an unknown claim": (
        {"fault": FAULT.replace("toy-relu-clips", "nothing")},
        r"test_toy/faults\.py:6: relu_leaks names the unknown claim",
    ),
    "a claim without a test": ({"test": "def test_nothing(): pass"}, "no test decides it"),
    "a claim without a fault": ({"fault": ""}, "no fault breaks it"),
}


@pytest.mark.parametrize(("room", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_with_one_line(tmp_path, room, message):
    (tmp_path / "articles.toml").write_text(ARTICLES)
    write_room(tmp_path, **room)
    with pytest.raises(CatalogueError, match=message) as raised:
        load(tmp_path)
    assert "\n" not in str(raised.value)


def test_an_id_in_two_rooms(tmp_path):
    write_room(tmp_path)
    write_room(tmp_path, room="test_other")
    with pytest.raises(CatalogueError, match=r"'toy-relu-clips' stands in test_other/claims\.toml too"):
        load(tmp_path)


def test_what_is_read(tmp_path):
    write_room(tmp_path)
    write_room(
        tmp_path,
        claims=CLAIM.replace("toy", "deep"),
        test=TEST.replace("toy", "deep"),
        fault=FAULT.replace("toy", "deep"),
        room="test_toy/inner",
    )
    catalogue = load(tmp_path)
    assert list(catalogue.claims) == ["toy-relu-clips", "deep-relu-clips"]
    assert catalogue.claims["deep-relu-clips"].family == "test_toy"
    assert catalogue.claims["toy-relu-clips"].dtypes == ("float32", "float64")
    assert catalogue.claims_of("test_toy/test_relu.py::test_relu[cpu-float32]") == ("toy-relu-clips",)
    assert catalogue.matching(["deep*", "toy*"]) == ["deep-relu-clips", "toy-relu-clips"]


@pytest.mark.parametrize("arguments", [(), ("--list-claims",), ("-n", "2")])
def test_a_broken_catalogue_ends_the_run_with_one_line(run, toy_suite, arguments):
    (toy_suite / "test_toy" / "claims.toml").write_text(CLAIM + "colour = 1")
    result = run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert [line for line in result.errlines + result.outlines if "unknown key 'colour'" in line]
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
