"""The examples of the schedulers' pages, made and stepped, beside the rates that the pages print.

Numbers and constructor calls come from the installed documentation: releases differ in both.
"""

import inspect
import math
import re
from types import SimpleNamespace

import pytest
from torch.optim import lr_scheduler

from test_schedulers.common import make_optimizer, rates_of
from torchclaims import claim

ROW = re.compile(r"# lr = ([\d.]+) +if (.*epoch.*)$", re.MULTILINE)
BASE = re.compile(r"optimizer uses lr = ([\d.]+) for all groups")
CALL = re.compile(r"^ *>>> (scheduler\d? = .*?\))$(?=\n *>>> (?:scheduler|for))", re.MULTILINE | re.DOTALL)


def printed(name):
    """The base rate, the statements that make the scheduler, and the rows: a number, its text and its condition."""
    text = inspect.getdoc(getattr(lr_scheduler, name))
    calls = [re.sub(r"^ *\.\.\. ", "", call, flags=re.MULTILINE) for call in CALL.findall(text)]
    return float(BASE.search(text)[1]), calls, ROW.findall(text)


def assert_as_printed(name):
    base, calls, rows = printed(name)
    assert len(calls) >= 1, "the page has an example"
    assert len(rows) >= 3, "the page prints rates"
    optimizer = make_optimizer(base)
    me = SimpleNamespace(opt=optimizer)  # as pages up to 2.7 have it
    names = {"optimizer": optimizer, "self": me, **{one: getattr(lr_scheduler, one) for one in lr_scheduler.__all__}}
    for call in calls:
        exec(call, names)  # the documentation's own words
    scheduler = names["scheduler"]
    wrong, checked = [], set()
    for epoch in range(100):
        for number, condition in rows:
            if eval(condition, {"epoch": epoch}):
                checked.add(condition)
                scale = 10 ** len(number.partition(".")[2])
                seen = rates_of(optimizer)[0] * scale
                # Some are rounded, some cut off.
                if round(float(number) * scale) not in (round(seen), math.floor(seen + 1e-6)):
                    wrong.append(f"epoch {epoch}: expected {number}, seen {rates_of(optimizer)[0]:.6g}")
        optimizer.step()
        scheduler.step()
    assert checked == {condition for _, condition in rows}
    assert wrong == [], "; ".join(wrong[:3])


@claim("lr-table")
@pytest.mark.parametrize("name", ["StepLR", "MultiStepLR", "ConstantLR"])
def test_examples(name):
    assert_as_printed(name)


@claim("lr-linear-table")
def test_example_of_linear():
    assert_as_printed("LinearLR")


@claim("lr-polynomial-table")
def test_example_of_polynomial():
    assert_as_printed("PolynomialLR")


@claim("lr-sequential-table")
def test_example_of_sequential():
    assert_as_printed("SequentialLR")


@claim("lr-chained-table")
def test_example_of_chained():
    assert_as_printed("ChainedScheduler")
