"""The report's parts against small studies that can be counted by hand."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import pytest

from utsearch import pareto
from utsearch.report.answers import answers, choices, where
from utsearch.report.costs import costs_figure
from utsearch.report.curves import curves_figure, growth
from utsearch.report.effects import importance_figure, slices_figure
from utsearch.report.groups import About, finished, front, hypervolume, tally, thinned
from utsearch.report.labels import Anchor, Offset, box
from utsearch.report.lora import cell, versus_lora
from utsearch.report.prior import agreement, prior_figure
from utsearch.report.report import figures, report, write_report
from utsearch.report.seeds import SIZES, confirmed_figure
from utsearch.report.story import Confirmed, Story, best_under, depth_of, regrets
from utsearch.report.where import NEAR, shares, where_figure
from utsearch.search import Record

Make = Callable[..., Record]


@pytest.fixture
def small(record: Make) -> list[Record]:
    """A front of 1 and 2; 3 lies a hair under it, 4 far."""
    return [
        record(0, design="linear", baseline="linear", n_params=0, top1=0.5),
        record(1, design="ffn:adapter(2)@0-1", n_params=1000, top1=0.6),
        record(2, design="mha|ffn:lora(4)@2", baseline="lora-4", n_params=2000, top1=0.7),
        record(3, design="ffn:lora(4)@2", n_params=2000, top1=0.695),
        record(4, design="norms:ssf", n_params=9000, top1=0.4),
        record(5, design="ffn:adapter(9)", n_params=9000, top1=0.3, epoch=1, status="stopped", reason="hopeless"),
    ]


def test_regret_is_the_distance_to_the_best_of_at_most_that_size(small: list[Record]) -> None:
    assert regrets(small) == pytest.approx({0: 0, 1: 0, 2: 0, 3: 0.005, 4: 0.3})
    for record in finished(small):
        best = max(r.top1 or 0 for r in finished(small) if r.n_params <= record.n_params)
        assert regrets(small)[record.number] == pytest.approx(best - (record.top1 or 0))


def test_heat_map_weighs_the_front_once_and_near_designs_half(small: list[Record]) -> None:
    share, forms = shares(small, depth=3)
    total = 2 + NEAR
    assert share == pytest.approx(
        {("ffn", 0): 1 / total, ("ffn", 1): 1 / total, ("ffn", 2): (1 + NEAR) / total, ("mha", 2): 1 / total}
    )
    assert forms["ffn", 2] == pytest.approx({"lora": (1 + NEAR) / total})


def test_heat_map_has_a_row_for_each_site_and_a_box_for_each_block(small: list[Record], about: About) -> None:
    figure = where_figure(Story(about, small, depth=3))
    assert figure is not None
    trace = figure["data"][0]
    assert (trace["y"], trace["x"]) == (["mha", "ffn"], [0, 1, 2])
    assert sum(shape["type"] == "rect" for shape in figure["layout"]["shapes"]) == 3
    assert where_figure(Story(about, small[:1], depth=3)) is None


def test_depth_is_the_studys_or_the_last_block_named(small: list[Record], about: About) -> None:
    assert depth_of(Story(about, small)) == 3
    assert depth_of(Story(about, small, depth=12)) == 12


def test_growth_ends_at_the_studys_hypervolume_and_never_falls(study: Sequence[Record], about: About) -> None:
    assert about.scale is not None
    steps = list(growth(study, about.scale))
    volumes = [volume for _, _, volume in steps]
    assert volumes == sorted(volumes)
    assert volumes[-1] == pytest.approx(hypervolume(study, about.scale))
    k = len(steps) // 2
    seen = [(r.n_params, r.top1 or 0.0) for r, _, _ in steps[: k + 1]]
    assert volumes[k] == pytest.approx(pareto.hypervolume(seen, about.scale))
    assert steps[-1][1] <= sum(record.seconds for record in study)


def test_curves_have_a_point_for_each_rung(small: list[Record]) -> None:
    figure = curves_figure(small)
    assert figure is not None
    points = sum(x is not None for trace in figure["data"] for x in trace["x"])
    assert points == sum(len(record.rungs) for record in small)
    assert curves_figure([]) is None


def test_thinning_keeps_the_ends_apart_and_all_where_few(study: Sequence[Record]) -> None:
    assert thinned(study, 1000) == list(study)
    some = thinned(study, 10)
    assert len(some) == 10
    assert some[0] == study[0]
    assert [r.number for r in some] == sorted({r.number for r in some})


def test_slices_count_a_design_in_each_of_its_columns(small: list[Record], about: About) -> None:
    figure = slices_figure(Story(about, small, depth=6))
    assert figure is not None
    sites, forms, ranks, places = (trace for trace in figure["data"] if trace["mode"] == "markers")
    assert figure["layout"]["xaxis"]["ticktext"] == ["ffn", "mha", "norms"]
    assert len(sites["x"]) == 5
    assert sorted(figure["layout"]["xaxis2"]["ticktext"]) == ["adapter", "lora", "ssf"]
    assert len(forms["x"]) == 4
    assert figure["layout"]["xaxis3"]["ticktext"] == ["2", "4"]
    assert len(ranks["x"]) == 3
    assert figure["layout"]["xaxis4"]["ticktext"] == ["early", "middle", "all blocks"]
    assert len(places["x"]) == 4


def test_costs_have_a_panel_for_each_recorded_measure(small: list[Record]) -> None:
    def panels(records: Sequence[Record]) -> set[str]:
        figure = costs_figure(records)
        assert figure is not None
        return {trace["xaxis"] for trace in figure["data"]}

    assert panels(small) == {"x"}
    assert panels([replace(r, cost={"flops": 1e9, "memory": 1e7}) for r in small]) == {"x", "x2", "x3"}
    assert costs_figure([]) is None


def test_names_of_a_crowded_confirmed_front_do_not_cover_each_other() -> None:
    """As a design of 4,000 parameters is compared: nineteen known forms of almost its size, two new designs at it."""
    rng = random.Random(0)
    known = [
        Confirmed(f"known-form-{i}", "", rng.randint(2300, 4000), True, top1, (top1 - 0.02, top1 + 0.02), 10)
        for i, top1 in enumerate(rng.uniform(0.42, 0.52) for _ in range(19))
    ]
    new = [Confirmed(f"trial {i}", "", 4000, False, 0.5 + i / 200, (0.48, 0.53), 10) for i in range(2)]
    figure = confirmed_figure([*known, *new])
    assert figure is not None
    for size, view in zip(SIZES, figure["views"], strict=True):
        (low, high), (bottom, top) = figure["layout"]["xaxis"]["range"], figure["layout"]["yaxis"]["range"]
        boxes = []
        for label in view["layout"]["annotations"][1:]:
            x, y = (label["x"] - low) / (high - low) * size.width, (top - label["y"]) / (top - bottom) * size.depth
            dx, dy = label.get("ax", label.get("xshift")), label.get("ay", -label.get("yshift", 0))
            name = label["text"].removeprefix("<b>").removesuffix("</b>")
            boxes.append(box(Anchor(x, y, name), Offset(dx, dy, near=True)))
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
        words = [label["text"] for label in view["layout"]["annotations"]]
        assert {"<b>trial 0</b>", "<b>trial 1</b>"} <= set(words)


def test_importance_and_seeds_are_absent_where_nothing_was_computed(story: Story) -> None:
    assert importance_figure({}) is None
    assert confirmed_figure([]) is None
    figure = confirmed_figure(story.confirmed)
    assert figure is not None
    line, known, new = figure["data"]
    assert line["x"] == [4000]  # it is better than the larger one
    assert known["error_y"]["array"] == pytest.approx([0.9])
    assert known["error_y"]["arrayminus"] == pytest.approx([0.8])
    assert new["error_y"]["array"] == [0.0]
    assert "one seed" in new["hovertext"][0]
    bars = importance_figure(story.importance)
    assert bars is not None
    assert [trace["x"][-1] for trace in bars["data"]] == pytest.approx([60, 60, 60])


def test_answers_name_the_best_small_design(small: list[Record], about: About) -> None:
    best = best_under(small, 50_000)
    assert best is not None
    assert best.number == 2
    assert best_under(small, 1500) == small[1]
    assert best_under(small, -1) is None
    given = {answer.question: answer for answer in answers(Story(about, small))}
    assert "70.0 ± 1.0 %" in given["Which design under 50,000 parameters?"].answer
    assert "--pick trial=2 " in given["How do I load it?"].code
    assert "1 trial stopped early" in given["What did the search cost?"].answer
    assert where(best) == "lora of size 4 on mha and ffn in blocks 2."
    assert where(small[0]) == "Nowhere: it is the linear head alone."


def test_better_than_lora_is_said_with_how_sure(small: list[Record], record: Make, about: About, story: Story) -> None:
    assert versus_lora(story).startswith("Yes: trial 33 against lora-8")
    assert versus_lora(Story(about, small[:2])).startswith("Unknown")
    small_one = versus_lora(Story(about, small))
    assert small_one.startswith("Smaller but worse: #1 has 1,000 parameters against 2,000 of lora-4")
    assert "−10.0 ± 1.5 points" in small_one
    as_good = versus_lora(Story(about, [*small, record(6, design="ffn:lora(5)", n_params=1500, top1=0.7)]))
    assert as_good.startswith("Smaller, and no worse as far as is seen: #6")
    won = versus_lora(Story(about, [*small, record(6, design="ffn:lora(5)", n_params=3000, top1=0.8)]))
    assert won.startswith("Probably: #6 against lora-4 of at most its size: +10.0 ± 1.4 points")
    assert "One seed" in won
    close = versus_lora(Story(about, [*small, record(6, design="ffn:lora(5)", n_params=3000, top1=0.701)]))
    assert close.startswith("Not shown")


def test_the_page_holds_plotly_once_and_every_figure(story: Story, tmp_path: Path) -> None:
    from plotly.offline import get_plotlyjs

    html = report([story, story])
    assert html.count(get_plotlyjs()) == 1
    rest = html.replace(get_plotlyjs(), "")
    assert not re.findall(r"(?:https?:)?//[\w.-]+\.\w+", rest)
    for i in range(2):
        for key, _ in figures(story):
            assert f'id="s{i}-{key}"' in rest
    assert "2 studies" in rest
    assert len(front(story.records)) * 2 == len(re.findall(r'<td class="number">#\d+</td><td class="number">', rest))
    path = write_report([story], tmp_path / "made" / "report.html")
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")


def test_a_study_without_results_has_a_report(about: About) -> None:
    assert "None has finished yet." in report([Story(replace(about, scale=None), [])])
    with pytest.raises(ValueError, match="needs a study"):
        report([])


def test_a_damaged_design_is_shown_not_fatal(record: Make, about: About) -> None:
    assert "not a design" in report([Story(about, [record(0, design="not a design :("), record(1)])])


def test_the_confirmed_front_is_told_in_words(story: Story) -> None:
    html = report([story])
    assert "Of 1 new design, 1 beat every known form of their size: trial 33." in html
    assert "closest: lora-8, +2.0 points [+1.0, +3.0], p = 0.004" in html
    assert "Of 1 new design" not in report([replace(story, confirmed=(), rivalries=())])


def test_the_answer_names_what_was_confirmed(story: Story) -> None:
    best = best_under(story.records, 50_000)
    assert best is not None
    seen = Confirmed(f"trial {best.number}", best.design, best.n_params, False, 0.7, (0.68, 0.72), 10)
    sure = answers(replace(story, confirmed=[seen]))[0].answer
    assert sure.endswith("Confirmed: 70.0 [68.0, 72.0] % test top-1 over 10 seeds.")
    assert answers(story)[0].answer.endswith("one seed.")


def test_what_was_confirmed_is_told_apart_from_the_best_of_the_search(story: Story) -> None:
    """The confirmed trial 33 beats LoRA; the design of the first answer is another one, of one seed."""
    best = best_under(story.records, 50_000)
    assert best is not None
    given = {answer.question: answer for answer in answers(story)}
    words = given["Is a new design better than LoRA, and how sure?"].answer
    assert words.startswith("Yes: trial 33 against lora-8")
    assert "1 beat every known form of their size: trial 33." in words
    assert (f"Trial #{best.number} itself was not confirmed" in words) == (not best.baseline)
    assert given["What did the search cost?"].answer.endswith("Confirming came on top of it.")


def test_a_study_without_weights_says_how_its_images_were_chosen(story: Story) -> None:
    settings = {
        **story.about.settings,
        "backbone": {"img_size": 48},
        "dataset": {"subset": {"classes": 20, "shots": 12, "val_shots": 16, "fraction": None, "seed": 0}},
    }
    bare = replace(story, about=replace(story.about, settings=settings), has_weights=False)
    code = answers(bare)[-1].code
    assert " --img-size 48 --classes 20 --shots 12 --val-shots 16 --out my-tuner" in code


def test_stopped_trials_that_went_on_are_counted(record: Make) -> None:
    found = [record(0, status="stopped"), record(1, status="stopped"), record(2, resumes=1)]
    assert tally(found) == "3 trials: 1 finished, 2 stopped early, 1 of the stopped went on as another trial"
    assert tally(found[:2]) == "2 trials: 2 stopped early"


def test_the_best_of_each_size_is_told_with_its_lead_over_lora(
    small: list[Record], record: Make, about: About, story: Story
) -> None:
    large = record(7, design="ffn:adapter(99)@1", n_params=60_000, top1=0.9)
    rows = {choice.size: choice for choice in choices(Story(about, [*small, large]))}
    assert list(rows) == ["1k", "50k", "any size"]
    for limit, size in ((1000, "1k"), (50_000, "50k"), (60_000, "any size")):
        best = best_under([*small, large], limit)
        assert best is not None
        assert rows[size].design == best.design
    assert rows["1k"].lora == "−10.0 ± 1.5 (lora-4, 2.0× as large)"
    assert rows["50k"].lora == "is LoRA"
    assert rows["any size"].lora == "+20.0 ± 1.2 (lora-4)"
    assert rows["any size"].sure == "one seed"
    seen = Confirmed("trial 7", large.design, 60_000, False, 0.88, (0.87, 0.89), 10)
    sure = Story(about, [*small, large], confirmed=[seen], rivalries=[replace(story.rivalries[0], own="trial 7")])
    assert choices(sure)[-1].sure == "confirmed: 88.0 [87.0, 89.0] % of test, 10 seeds"
    assert choices(sure)[-1].lora == "+2.0 points [+1.0, +3.0], p = 0.004 (lora-8)"
    other = Confirmed("trial 7", large.design, 60_000, False, 0.88, (0.87, 0.89), 10)
    assert cell(large, Story(about, [*small, large], confirmed=[other])) == "+20.0 ± 1.2 (lora-4; one seed)"
    assert cell(record(8), Story(about, small[:2])) == "no LoRA was trained"


def test_what_is_missing_is_explained(small: list[Record], about: About, story: Story) -> None:
    bare = report([Story(replace(about, scale=None), [])])
    for words in ("every number of this page is of one seed", "No trial has finished yet", "Too few sampled trials"):
        assert words in bare
    assert "Nothing to draw yet: no trials yet." in bare
    assert 'class="plot"' not in bare
    assert "What the prior had thought" not in bare
    assert "every number of this page is of one seed" not in report([story])


def test_a_priors_scores_are_drawn_with_their_rank_correlation(record: Make) -> None:
    scores = [3.0, 1.0, 2.0, 5.0, 4.0]
    records = [
        record(i, prior="sensitivity", prior_score=score, top1=0.5 + 0.01 * i, n_params=100 * (i + 1))
        for i, score in enumerate(scores)
    ]
    ranks = range(1, 6)
    n, gaps = len(scores), sum((score - rank) ** 2 for score, rank in zip(scores, ranks, strict=True))
    rho = agreement(records)
    assert rho == pytest.approx(1 - 6 * gaps / (n * (n * n - 1)))
    figure = prior_figure([*records, record(9, prior="warm start"), record(10)])
    assert figure is not None
    (trace,) = figure["data"]
    assert trace["x"] == scores
    assert "queued by sensitivity with a score of 3" in trace["hovertext"][0]
    assert figure["layout"]["xaxis"]["title"]["text"] == f"score by sensitivity, ρ = {rho:.2f} over 5 designs"
    assert agreement(records[:2]) is None
    assert prior_figure([record(0)]) is None


def test_panels_stand_in_a_row_or_on_each_other(story: Story) -> None:
    for figure in (costs_figure(story.records), slices_figure(story), importance_figure(story.importance)):
        assert figure is not None
        narrow, wide = (view["layout"] for view in figure["views"])
        keys = [key for key in wide if key.endswith("domain") and key.startswith("x")]
        columns = sorted(tuple(wide[key]) for key in keys)
        rows = sorted(tuple(narrow[key.replace("x", "y", 1)]) for key in keys)
        for lanes in (columns, rows):
            assert len(lanes) >= 3
            assert all(left[1] < right[0] for left, right in pairwise(lanes))
        assert {key: figure["layout"][key.split(".")[0]]["domain"] for key in keys} == {key: wide[key] for key in keys}
        assert {trace["yaxis"].replace("y", "x", 1) for trace in figure["data"]} == {t["xaxis"] for t in figure["data"]}
