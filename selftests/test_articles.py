"""Every passage of every article is decided by a claim, or says why it cannot be."""

import pytest

from torchclaims.catalogue import load


@pytest.fixture(scope="module")
def catalogue(pytestconfig):
    return load(pytestconfig.rootpath)


def test_every_passage_is_decided_or_says_why_not(catalogue):
    decided = catalogue.decided_passages()
    for article in catalogue.articles.values():
        passages = {number: decided.get(f"{article.id}-{number:02}") for number in range(1, article.passages + 1)}
        open_ones = [number for number, claims in passages.items() if not claims and number not in article.undecided]
        assert not open_ones, f"article {article.id}: neither decided nor undecidable: {open_ones}"
        both = [number for number in article.undecided if passages.get(number)]
        assert not both, f"article {article.id}: decided and yet said to be undecidable: {both}"


def test_reasons_are_given(catalogue):
    for article in catalogue.articles.values():
        assert all(len(reason.split()) >= 3 for reason in article.undecided.values())
        assert all(1 <= number <= article.passages for number in article.undecided)
