"""The page of what the benchmarks measured: everything is on it, nothing foreign is, and bad input is one line."""

import html
import json
import re
from html.parser import HTMLParser

import pytest

from selftests.timed_run import report
from torchclaims.__main__ import main
from torchclaims.report import page, quantities, roofline, timings

BENCHMARK = """
import pytest
from selftests.timed_run import report

ROWS = [one["extra_info"] for one in report(["VGG"])["benchmarks"]]

@pytest.mark.parametrize("info", [ROWS[0], ROWS[-1]], ids=["row", "comparison"])
def test_row(benchmark, info):
    benchmark.extra_info |= info
    benchmark.pedantic(int)
"""


@pytest.fixture(scope="module")
def run():
    return timings.parse(json.dumps(report()), "run.json")


@pytest.fixture(scope="module")
def rendered(run):
    return page.render(run)


def small():
    return report(["VGG", "nn.ReLU"])


@pytest.fixture
def undrawn(monkeypatch):
    """Plots are not the point: there are none."""
    monkeypatch.setattr(roofline, "draw", lambda rows, size: "<svg></svg>")


@pytest.fixture
def stored(tmp_path):
    def store(content):
        path = tmp_path / "run.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return store


class Elements(HTMLParser):
    """The elements of a page in order, each with its attributes; complains of any that is not closed."""

    def __init__(self, text):
        super().__init__()
        self.found, self.open, self.text = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in {"meta", "input"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_every_row_is_a_mark_a_bar_and_a_line_of_the_table(run, rendered):
    elements = Elements(rendered)
    assert not elements.open
    expected = {str(row["index"]) for row in run.rows}
    seen = {}
    for tag, attributes in elements.found:
        if "data-row" in attributes:
            seen.setdefault(tag, []).append(attributes["data-row"])
    assert set(seen["use"]) == set(seen["tr"]) == expected
    assert len(seen["use"]) == 2 * len(expected)  # a wide plot and a narrow one
    assert len(seen["tr"]) == 3 * len(expected)  # time, memory, table


def test_the_page_needs_no_network(rendered):
    elements = Elements(rendered)
    for _, attributes in elements.found:
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            assert attributes.get(name, "#").startswith("#")
        assert "http" not in attributes.get("style", "")
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\"' <)]+", rendered)) <= namespaces
    assert "@import" not in rendered


def test_the_plots_are_in_the_pages_font(rendered):
    fonts = set(re.findall(r"font(?:-family)?: ([^;\"]+)", rendered[rendered.index("<main>") :]))
    assert fonts == {"system-ui, sans-serif"} or all(font.endswith("px system-ui, sans-serif") for font in fonts)


def test_no_two_elements_have_one_name(rendered):
    names = [attributes["id"] for _, attributes in Elements(rendered).found if "id" in attributes]
    assert len(names) == len(set(names))


def test_whatever_is_referred_to_is_there(rendered):
    names = set(re.findall(r' id="([^"]+)"', rendered))
    referred = set(re.findall(r'href="#([^"]+)"', rendered)) | set(re.findall(r"url\(#([^)]+)\)", rendered))
    assert referred <= names


def test_text_of_a_run_is_escaped(monkeypatch):
    monkeypatch.setattr(roofline, "WIDTHS", {"narrow": roofline.NARROW})
    hostile = "<script>alert('&')</script>\"><img src=x>"
    foreign = small()
    info = foreign["benchmarks"][0]["extra_info"]
    info |= {"name": hostile, "row": hostile, "device_description": hostile, "precision": hostile, "mode": hostile}
    foreign["benchmarks"][-1]["extra_info"]["sentence"] = hostile
    foreign["machine_info"]["torchclaims"]["condition"] = [hostile]
    text = page.render(timings.parse(json.dumps(foreign), "run.json"))
    elements = Elements(text)
    assert not [tag for tag, _ in elements.found if tag == "img"]
    assert len([tag for tag, _ in elements.found if tag == "script"]) == 1
    assert hostile in "".join(elements.text)


def test_figures_and_noise_are_told_in_words(run, rendered):
    row = next(row for row in run.rows if row["noisy"])
    assert roofline.title(row) in "".join(Elements(rendered).text)
    assert rendered.count("≈ noisy") == sum(row["noisy"] for row in run.rows)
    for one in run.comparisons:
        assert html.escape(one["sentence"], quote=False) in rendered
        assert one["verdict"] in rendered


def test_marks_are_where_their_figures_are(run):
    """Twice the FLOP/s at ten times the intensity, measured in the plot's own units between the axes' ticks."""
    rows = [row for row in run.rows if row["flops"]][:2]
    rows[0] = rows[0] | {"flops": 1e9, "bytes": 1e8, "flops_per_second": 1e10, "bytes_per_second": 1e9}
    rows[1] = rows[1] | {"flops": 1e9, "bytes": 1e7, "flops_per_second": 1e11, "bytes_per_second": 1e9}
    text = roofline.draw(rows, roofline.WIDE)
    marks = dict.fromkeys(str(row["index"]) for row in rows)
    for _, attributes in Elements(text).found:
        if attributes.get("data-row") in marks:
            marks[attributes["data-row"]] = float(attributes["x"]), float(attributes["y"])
    ticks = {
        label: (float(x), float(y)) for x, y, label in re.findall(r'x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]+)</text', text)
    }
    (x0, y0), (x1, y1) = marks.values()
    assert x0 == pytest.approx(ticks["10"][0], abs=0.1)
    assert x1 == pytest.approx(ticks["100"][0], abs=0.1)
    assert y0 - y1 == pytest.approx(ticks["10 GFLOP/s"][1] - ticks["100 GFLOP/s"][1], abs=0.1)


def test_bars_are_as_long_as_their_figures(rendered):
    units = {"s": 1, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9, "B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}

    def amount(text):
        number, unit = text.split(" ")
        return float(number) * units[unit]

    tables = re.findall(r'<table class="panel.*?</table>', rendered, re.DOTALL)
    assert len(tables) == 2 * 19 * 2  # time and memory of 19 networks and layers, for two batches
    for table in tables:
        end = amount(re.search(r'left:100\.000%">([^<]+)<', table)[1])
        bars = re.findall(r'class="bar \w+" style="width:([\d.]+)%', table)
        figures = re.findall(r'class="figures">([^<]+) <', table)
        assert len(bars) == len(figures) == 8
        for bar, figure in zip(bars, figures, strict=True):
            assert float(bar) / 100 * end == pytest.approx(amount(figure), rel=0.006)


def test_names_in_the_plot_do_not_overlap(run, monkeypatch):
    boxes = []
    original = roofline.name_at

    def spy(axes, text, at, taken, *rest, **more):
        original(axes, text, at, taken, *rest, **more)
        boxes[:] = taken

    monkeypatch.setattr(roofline, "name_at", spy)
    for size in roofline.WIDTHS.values():
        roofline.draw(run.rows, size)
        assert len(boxes) > 4
        for index, box in enumerate(boxes):
            assert not box.count_overlaps(boxes[index + 1 :])


@pytest.mark.parametrize(
    "change",
    [
        {"flops": None, "flops_per_second": None, "binding": None, "share": None},
        {"wall": {"median": 1e-3, "low": None, "high": None, "spread": None}, "cpu": None},
        {"peak_bytes": None, "retained_bytes": None, "operations": None},
        {"limit": {"flops_per_second": None, "bytes_per_second": 1e10}},
        {"bytes": None, "bytes_per_second": None},
        {"bytes": 0, "bytes_per_second": 0},
    ],
)
def test_what_is_not_known_is_a_dash(change, monkeypatch):
    monkeypatch.setattr(roofline, "WIDTHS", {"narrow": roofline.NARROW})
    unknown = small()
    for one in unknown["benchmarks"][:-4]:
        one["extra_info"] |= change
    text = page.render(timings.parse(json.dumps(unknown), "run.json"))
    assert "None" not in text
    assert "nan" not in text


@pytest.mark.usefixtures("undrawn")
def test_devices_and_modes_have_plots_and_panels_of_their_own():
    mixed = small()
    for one in mixed["benchmarks"][8:24]:
        one["extra_info"] |= {"device": "cuda:0", "device_description": "Example GPU", "mode": "inductor"}
        one["extra_info"]["device_time"] = one["extra_info"]["wall"]
    text = page.render(timings.parse(json.dumps(mixed), "run.json"))
    assert text.count('role="img"') == 4
    assert "batch 16, cuda:0, inductor" in text


def test_one_row_is_enough(monkeypatch):
    monkeypatch.setattr(roofline, "WIDTHS", {"narrow": roofline.NARROW})
    single = small()
    single["benchmarks"] = single["benchmarks"][:1]
    text = page.render(timings.parse(json.dumps(single), "run.json"))
    assert "1 row." in text
    assert "None is noisy" in text


def test_comparisons_alone_are_a_page_too(stored, tmp_path, capsys):
    alone = small()
    alone["benchmarks"] = alone["benchmarks"][-4:]
    text = page.render(timings.parse(json.dumps(alone), "run.json"))
    assert not Elements(text).open
    assert "as stated" in text
    assert "<script" not in text
    assert main(["roofline", str(stored(alone)), "-o", str(tmp_path / "roofline.svg")]) == 4
    assert "the run has comparisons alone" in capsys.readouterr().err


def broken(path, value):
    whole = small()
    at = whole
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return whole


INFO = ("benchmarks", 3, "extra_info")
UNUSABLE = {
    "no JSON": ("{", "is not JSON"),
    "NaN": (json.dumps(broken((*INFO, "share"), float("nan"))), "NaN is no finite number"),
    "nested too deep": ("[" * 100_000, "is not JSON"),
    "list": ([], "$: [] is not of type 'object'"),
    "other tool": ({"context": {}, "benchmarks": []}, "$: 'machine_info' is a required property"),
    "no benchmarks": (small() | {"benchmarks": []}, "none of its 0 benchmarks is of torchclaims"),
    "plain": (
        small() | {"benchmarks": [{"name": "test_int", "extra_info": {}, "stats": {}}]},
        "none of its 1 benchmarks is of torchclaims",
    ),
    "no extra_info": (
        small() | {"benchmarks": [{"name": "a"}]},
        "$.benchmarks[0]: 'extra_info' is a required property",
    ),
    "no wall": (broken((*INFO, "wall"), None), "$.benchmarks[3].extra_info.wall: None is not of type 'object'"),
    "no share": (
        broken(INFO, {key: value for key, value in small()["benchmarks"][3]["extra_info"].items() if key != "share"}),
        "$.benchmarks[3].extra_info: 'share' is a required property",
    ),
    "negative": (broken((*INFO, "wall", "median"), -1), "-1 is less than or equal to the minimum of 0"),
    "text": (broken((*INFO, "bytes"), "9" * 500), "is not of type 'number', 'null'"),
    "unknown work": (broken((*INFO, "work"), "sleep"), "'sleep' is not one of ['forward'"),
    "too large": (json.dumps(small()).replace('"bytes": ', '"bytes": 1e999, "was": ', 1), "1e999 is no finite number"),
}


@pytest.mark.parametrize("command", ["page", "roofline"])
@pytest.mark.parametrize(("content", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_run_is_one_line(stored, tmp_path, capsys, command, content, message):
    target = tmp_path / "out"
    target.write_text("as it was")
    assert main([command, str(stored(content)), "-o", str(target)]) == 4
    written = capsys.readouterr()
    assert not written.out
    assert written.err.startswith("ERROR: ")
    assert len(written.err.splitlines()) == 1
    assert len(written.err) < 400
    assert message in written.err
    assert target.read_text() == "as it was"


def test_a_run_that_is_not_there(tmp_path, capsys):
    assert main(["page", str(tmp_path / "none.json"), "-o", str(tmp_path / "out")]) == 4
    assert "No such file" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_page_that_cannot_be_written(stored, tmp_path, capsys):
    assert main(["page", str(stored(small())), "-o", str(tmp_path / "none" / "page.html")]) == 4
    assert "ERROR: page: cannot write" in capsys.readouterr().err


@pytest.mark.usefixtures("undrawn")
def test_the_command_writes_the_page(stored, tmp_path, capsys):
    target = tmp_path / "page.html"
    assert main(["page", str(stored(small())), "-o", str(target)]) == 0
    assert capsys.readouterr().out == f"page written to {target}\n"
    assert target.read_text().startswith("<!doctype html>")
    assert {path.name for path in tmp_path.iterdir()} == {"page.html", "run.json"}


def test_the_roofline_alone_is_small_and_follows_light_and_dark(stored, tmp_path):
    target = tmp_path / "roofline.svg"
    assert main(["roofline", str(stored(small())), "-o", str(target)]) == 0
    text = target.read_text()
    assert len(text) < 100_000
    assert "prefers-color-scheme:dark" in text
    assert not re.findall(r"(?:fill|stroke): #", text)


def test_a_run_on_two_devices_has_no_one_roofline(stored, tmp_path, capsys):
    mixed = broken((*INFO, "device"), "cuda")
    assert main(["roofline", str(stored(mixed)), "-o", str(tmp_path / "roofline.svg")]) == 4
    assert "the run was on cpu, cuda, which share no plot" in capsys.readouterr().err


def test_light_and_dark_have_contrast():
    """WCAG 2.2: 4.5 for text, 3 for what is drawn, against the paper."""

    def luminance(color):
        channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for index in (0, 1):
        colors = {name: pair[index] for name, pair in page.svg.PALETTE.items()}
        paper = luminance(colors["paper"])
        for name, needed in {"ink": 4.5, "faint": 4.5, "full": 4.5, "reduced": 4.5}.items():
            light, dark = sorted((luminance(colors[name]), paper), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= needed, (name, index)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 s"),
        (1.5e-3, "1.50 ms"),
        (999.6e-6, "1.00 ms"),
        (12.345e9, "12.3 Gs"),
        (3e-13, "0.000300 ns"),
        (None, "–"),
    ],
)
def test_quantities(value, text):
    assert quantities.si(value, "s") == text


@pytest.mark.parametrize("highest", [1e-9, 0.31, 1, 3, 7.2, 99, 100, 1234, 5e12])
def test_ticks_are_round_and_reach(highest):
    steps = quantities.ticks(highest)
    assert steps[0] == 0
    assert highest <= steps[-1] * (1 + 1e-9) < 2.5 * highest
    assert len(steps) <= 5


@pytest.fixture
def timed(toy_suite, monkeypatch, pytestconfig):
    """A suite with a benchmark that is a row, and one that is a comparison."""
    monkeypatch.syspath_prepend(str(pytestconfig.rootpath))
    (toy_suite / "benchmarks").mkdir()
    (toy_suite / "benchmarks" / "test_row.py").write_text(BENCHMARK)
    ini = toy_suite / "pyproject.toml"
    ini.write_text(ini.read_text() + '\ntestpaths = ["test_toy"]\n')
    return toy_suite


class TestOption:
    """``--benchmark-html``, in a run."""

    @pytest.fixture
    def go(self, timed, pytester):
        return lambda *arguments, **more: pytester.runpytest_inprocess(
            "--seed", "1", "--device", "cpu", "--benchmark-only", *arguments, **more
        )

    @pytest.mark.usefixtures("undrawn")
    def test_writes_the_page(self, go, timed):
        result = go("--benchmark-html=page.html")
        assert result.ret == 0
        result.stdout.fnmatch_lines(["page written to page.html"])
        text = (timed / "page.html").read_text()
        assert "VGG" in text
        assert "Rebinding x" in text

    @pytest.mark.usefixtures("undrawn")
    def test_beside_a_stored_run_shows_this_one_only(self, go, timed):
        assert go("--benchmark-save=first").ret == 0
        assert go("--benchmark-compare", "--benchmark-html=page.html").ret == 0
        assert "1 row." in (timed / "page.html").read_text()

    @pytest.mark.usefixtures("undrawn")
    def test_an_interrupted_run_keeps_its_finished_rows(self, go, timed):
        (timed / "benchmarks" / "test_sigint.py").write_text("def test_it(benchmark):\n    raise KeyboardInterrupt\n")
        result = go("--benchmark-html=page.html", no_reraise_ctrlc=True)
        assert result.ret == pytest.ExitCode.INTERRUPTED
        assert "1 row." in (timed / "page.html").read_text()

    def test_nothing_timed_is_no_page(self, go, timed):
        (timed / "benchmarks" / "test_plain.py").write_text("def test_plain(benchmark):\n    benchmark(int)\n")
        result = go("--benchmark-html=page.html", "-k", "plain")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stdout.fnmatch_lines(["ERROR: --benchmark-html: none of its 1 benchmarks is of torchclaims*"])
        assert not (timed / "page.html").exists()

    @pytest.mark.parametrize("target", ["none/page.html", "."])
    def test_an_unwritable_page_is_said_before_anything_runs(self, go, target):
        result = go(f"--benchmark-html={target}")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert len([line for line in result.errlines if line.startswith("ERROR: --benchmark-html: ")]) == 1
        assert "passed" not in result.stdout.str()

    def test_without_its_extra_is_said_before_anything_runs(self, go, monkeypatch):
        monkeypatch.setattr(page, "find_spec", lambda name: None if name == "matplotlib" else True)
        result = go("--benchmark-html=page.html")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        line = "ERROR: --benchmark-html needs matplotlib: python -m pip install -e '.[page]'"
        assert [error for error in result.errlines if error.startswith("ERROR")] == [line]


def test_a_run_without_a_page_imports_nothing_for_it(pytester, toy_suite):
    result = pytester.runpython_c(
        "import sys, pytest\npytest.main(['--help'])\n"
        "assert not {'matplotlib', 'jinja2', 'jsonschema', 'torchclaims.report.page'} & set(sys.modules)"
    )
    assert result.ret == 0, result.stderr.str()
