from __future__ import annotations

import numpy as np
import pandas as pd
import pingouin
import pytest
import statsmodels.api as sm
from scipy import stats

from contested.analysis import (
    Categorical,
    partial_spearman,
    regression,
    spearman,
    spearman_by_label,
    text_length,
)
from contested.analysis.rank_bootstrap import bca_ends
from contested.errors import ConfigError, DataError

LABELS = ("entailment", "neutral", "contradiction")


def generator(seed=0):
    return np.random.default_rng(seed)


def confounded(n=120, seed=0):
    """AULC and entropy that go together only through length and label."""
    rng = generator(seed)
    length, gold = rng.integers(5, 40, n).astype(float), rng.integers(0, 3, n)
    entropy = np.round(0.02 * length + 0.3 * (gold == 1) + rng.normal(0, 0.2, n), 2)
    aulc = 0.03 * length + 0.4 * (gold == 1) + rng.normal(0, 0.2, n)
    return aulc, entropy, length, gold


def residual_correlation(x, y, design):
    """Pearson's correlation of the residuals of the ranks, by statsmodels."""
    rest = [sm.OLS(stats.rankdata(values), sm.add_constant(design)).fit().resid for values in (x, y)]
    return stats.pearsonr(*rest).statistic


# text_length


def test_text_length_counts_words_over_all_columns():
    texts = pd.DataFrame({"premise": ["A man  sleeps.", "", "one\ttwo\nthree"], "hypothesis": ["He rests", "x", " "]})
    # 3 + 2; 0 + 1; 3 + 0
    assert text_length(texts).tolist() == [5, 1, 3]


def test_missing_texts_are_refused_and_counted():
    with pytest.raises(DataError, match="2 of 3 examples lack a text"):
        text_length(pd.DataFrame({"a": ["x", None, "y"], "b": ["x", "y", None]}))
    with pytest.raises(DataError, match="given no column"):
        text_length(pd.DataFrame(index=range(3)))


# partial_spearman


def test_numeric_controls_are_pingouins():
    aulc, entropy, length, _ = confounded()
    genre = np.round(generator(7).normal(size=120) + entropy, 1)
    frame = pd.DataFrame({"x": aulc, "y": entropy, "length": length, "genre": genre})
    reference = pingouin.partial_corr(frame, "x", "y", ["length", "genre"], method="spearman")
    found = partial_spearman(aulc, entropy, {"length": length, "genre": genre}, rng=generator())
    assert found.rho == pytest.approx(reference["r"].item(), abs=1e-9)
    p_column = next(column for column in reference.columns if column.startswith("p"))
    assert found.p_value == pytest.approx(reference[p_column].item(), rel=1e-6)
    assert (found.controls, found.n, found.n_skipped, found.note) == (("length", "genre"), 120, 0, "")


def test_categorical_controls_are_residuals_on_dummies():
    aulc, entropy, length, gold = confounded()
    dummies = pd.get_dummies(pd.Series(gold), drop_first=True, dtype=float).to_numpy()
    expected = residual_correlation(aulc, entropy, dummies)
    named = np.array(LABELS, dtype=object)[gold]
    for control in (Categorical(gold), named, named.astype(str), pd.Series(named)):
        assert partial_spearman(aulc, entropy, {"gold": control}, rng=generator()).rho == pytest.approx(expected)
    both = np.column_stack([stats.rankdata(length), dummies])
    found = partial_spearman(aulc, entropy, {"length": length, "gold": Categorical(gold)}, rng=generator())
    assert found.rho == pytest.approx(residual_correlation(aulc, entropy, both))
    # Student's t with 120 - 2 - 3 degrees of freedom: one for length, two for the three labels
    t = found.rho * np.sqrt(115 / (1 - found.rho**2))
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(t), 115))


def test_class_indices_that_are_not_called_categorical_are_ranked():
    aulc, entropy, _, gold = confounded()
    ranked = partial_spearman(aulc, entropy, {"gold": gold}, rng=generator()).rho
    assert ranked == pytest.approx(residual_correlation(aulc, entropy, stats.rankdata(gold)))
    assert abs(ranked - partial_spearman(aulc, entropy, {"gold": Categorical(gold)}, rng=generator()).rho) > 0.01


def test_one_control_by_the_textbook_formula():
    # ρ_xy.z = (ρ_xy - ρ_xz ρ_yz) / √((1 - ρ_xz²)(1 - ρ_yz²))
    aulc, entropy, length, _ = confounded(30)
    xy, xz, yz = (stats.spearmanr(a, b).statistic for a, b in ((aulc, entropy), (aulc, length), (entropy, length)))
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert partial_spearman(aulc, entropy, {"length": length}, rng=generator()).rho == pytest.approx(expected)


def test_a_confounder_explains_the_correlation_away():
    aulc, entropy, length, gold = confounded(1000)
    found = partial_spearman(aulc, entropy, {"length": length, "gold": Categorical(gold)}, rng=generator())
    assert spearman(aulc, entropy, rng=generator()).low > 0.3
    assert found.low < 0 < found.high


def test_no_control_is_the_plain_correlation_with_its_interval():
    aulc, entropy, *_ = confounded(60)
    found, plain = partial_spearman(aulc, entropy, {}, rng=generator(3)), spearman(aulc, entropy, rng=generator(3))
    assert found[1:5] == pytest.approx(plain[2:6])


def test_interval_is_scipys_bca_of_the_residual_correlation():
    # The same draws through an obvious, slow statistic that ranks and regresses every resample anew.
    aulc, entropy, length, gold = confounded(40)

    def slow(x, y, z, neutral, contradiction):
        return residual_correlation(x, y, np.column_stack([stats.rankdata(z), neutral, contradiction]))

    samples = (aulc, entropy, length, (gold == 1) * 1.0, (gold == 2) * 1.0)
    reference = stats.bootstrap(
        samples, slow, paired=True, vectorized=False, n_resamples=200, method="BCa", rng=generator(4)
    )
    controls = {"length": length, "gold": Categorical(gold)}
    found = partial_spearman(aulc, entropy, controls, rng=generator(4), n_resamples=200)
    assert (found.low, found.high) == pytest.approx(reference.confidence_interval, rel=1e-7)


def test_order_of_examples_and_controls_does_not_change_rho():
    aulc, entropy, length, gold = confounded()
    order = generator(1).permutation(120)
    first = partial_spearman(aulc, entropy, {"length": length, "gold": Categorical(gold)}, rng=generator())
    controls = {"gold": Categorical(gold[order]), "length": length[order]}
    again = partial_spearman(aulc[order], entropy[order], controls, rng=generator())
    assert (again.rho, again.p_value) == pytest.approx((first.rho, first.p_value))
    assert (again.low, again.high) == pytest.approx((first.low, first.high), abs=0.04)
    assert again.controls == ("gold", "length")


def test_missing_values_anywhere_are_left_out_and_counted():
    aulc, entropy, length, gold = confounded(40)
    names = np.array(LABELS, dtype=object)[gold]
    aulc[2], length[5], names[[5, 9]] = np.nan, np.nan, None
    kept = np.delete(np.arange(40), [2, 5, 9])
    found = partial_spearman(aulc, entropy, {"length": length, "gold": names}, rng=generator())
    assert (found.n, found.n_skipped) == (37, 3)
    rest = partial_spearman(aulc[kept], entropy[kept], {"length": length[kept], "gold": names[kept]}, rng=generator())
    assert found._replace(n_skipped=0) == rest


def test_a_repeated_or_constant_control_changes_nothing():
    aulc, entropy, length, _ = confounded(40)
    once = partial_spearman(aulc, entropy, {"length": length}, rng=generator())
    more = {"length": length, "again": 2 * length, "one": np.ones(40), "name": ["a"] * 40}
    again = partial_spearman(aulc, entropy, more, rng=generator())
    assert again[1:5] == pytest.approx(once[1:5])  # the p-value too: repeated controls cost no degree of freedom


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("x", "controls", "note"),
    [
        (np.ones(20), {"z": np.arange(20)}, "constant: x"),
        (np.arange(20.0), {"z": np.arange(20) ** 3}, "the controls explain x or y entirely"),
        (np.arange(20.0), {"z": [f"example {i}" for i in range(20)]}, "20 examples: too few to hold 19 control terms"),
        (np.full(20, np.nan), {"z": np.arange(20)}, "0 examples: too few"),
    ],
)
def test_what_has_no_partial_correlation_says_why(x, controls, note):
    found = partial_spearman(x, generator().normal(size=20), controls, rng=generator())
    assert np.isnan([found.rho, found.p_value, found.low, found.high]).all()
    assert found.note.startswith(note)


def test_five_examples_have_rho_but_no_interval():
    found = partial_spearman([1, 2, 3, 5, 4], [1, 3, 2, 4, 5], {"z": [1, 4, 3, 2, 5]}, rng=generator())
    assert np.isfinite([found.rho, found.p_value]).all()
    assert np.isnan(found.low)
    assert "6 needed" in found.note


def test_controls_must_fit():
    with pytest.raises(DataError, match="x 4, y 4, length 5"):
        partial_spearman(range(4), range(4), {"length": range(5)}, rng=generator())
    with pytest.raises(DataError, match="length: 1 of 4"):
        partial_spearman(range(4), [2, 1, 3, 4], {"length": [np.inf, 1, 2, 3]}, rng=generator())
    with pytest.raises(ConfigError, match="n_resamples"):
        partial_spearman(range(9), range(9), {}, rng=generator(), n_resamples=3)


# regression


def test_regression_is_a_formula_of_statsmodels():
    aulc, entropy, length, gold = confounded()
    frame = pd.DataFrame({"aulc": aulc, "entropy": entropy, "length": length})
    frame = (frame - frame.mean()) / frame.std()
    frame["gold"] = gold
    reference = sm.OLS.from_formula("aulc ~ entropy + length + C(gold)", frame).fit(cov_type="HC3", use_t=True)
    found = regression(aulc, entropy, length, gold, label_names=LABELS)
    order = ["Intercept", "entropy", "length", "C(gold)[T.1]", "C(gold)[T.2]"]
    assert [term.term for term in found.terms] == [
        "intercept", "entropy", "length", "gold: neutral", "gold: contradiction"
    ]  # fmt: skip
    assert [term.beta for term in found.terms] == pytest.approx(reference.params[order].tolist())
    assert [term.se for term in found.terms] == pytest.approx(reference.bse[order].tolist())
    # The end towards a long tail lies further out than Student's; here no 0 does, so that every p is his.
    ends = reference.conf_int().loc[order].to_numpy().T
    low, high = (np.array([getattr(term, end) for term in found.terms]) for end in ("low", "high"))
    assert (low <= ends[0] + 1e-9).all()
    assert (high >= ends[1] - 1e-9).all()
    assert (np.isclose(low, ends[0], atol=1e-9) | np.isclose(high, ends[1], atol=1e-9)).all()
    assert [term.p_value for term in found.terms] == pytest.approx(reference.pvalues[order].tolist())
    assert (found.r_squared, found.n, found.note) == (pytest.approx(reference.rsquared), 120, "")


def test_clusters_move_with_their_examples_and_widen_what_repeats():
    # Every example twice: clustered errors are those of the 120 alone but for the corrections for few clusters.
    aulc, entropy, length, gold = (np.tile(values, 2) for values in confounded())
    clusters = np.tile(np.arange(120), 2)
    alone = regression(aulc[:120], entropy[:120], length[:120], gold[:120], label_names=LABELS)
    twice = regression(aulc, entropy, length, gold, label_names=LABELS)
    told = regression(aulc, entropy, length, gold, label_names=LABELS, clusters=clusters)
    assert told.terms[1].se == pytest.approx(alone.terms[1].se, rel=0.05)
    assert twice.terms[1].se < 0.75 * told.terms[1].se
    entropy[7] = np.nan
    order = generator(3).permutation(240)
    first = regression(aulc, entropy, length, gold, label_names=LABELS, clusters=clusters)
    again = regression(
        *(values[order] for values in (aulc, entropy, length, gold)), label_names=LABELS, clusters=clusters[order]
    )
    assert again.terms[1][1:] == pytest.approx(first.terms[1][1:])


def test_regression_agrees_with_pingouin_which_fits_by_itself():
    aulc, entropy, length, _ = confounded()
    z = [stats.zscore(values, ddof=1) for values in (aulc, entropy, length)]
    reference = pingouin.linear_regression(pd.DataFrame({"entropy": z[1], "length": z[2]}), z[0])
    found = regression(aulc, entropy, length, np.zeros(120, dtype=int), label_names=LABELS)
    assert [term.beta for term in found.terms] == pytest.approx(reference["coef"].tolist(), abs=1e-12)
    assert found.r_squared == pytest.approx(reference["r2"].iloc[0])


def test_clusters_of_a_label_are_those_of_its_examples():
    aulc, entropy, _, gold = confounded()
    clusters = np.arange(120) // 3
    found = spearman_by_label(aulc, entropy, gold, LABELS, rng=generator(), clusters=clusters, n_resamples=200)
    child = generator().spawn(3)[1]
    alone = spearman(
        aulc[gold == 1], entropy[gold == 1], rng=child, names=("aulc", "entropy"), clusters=clusters[gold == 1],
        n_resamples=200,
    )  # fmt: skip
    assert found[1].correlation == alone


def test_intervals_of_few_examples_are_noted():
    few = regression(*(values[:99] for values in confounded()), label_names=LABELS)
    assert few.note.startswith("fewer than 100 examples")
    assert np.isfinite(few.terms[1].low)


def test_beta_does_not_depend_on_units_or_order():
    aulc, entropy, length, gold = confounded()
    order = generator(2).permutation(120)
    first = regression(aulc, entropy, length, gold, label_names=LABELS)
    again = regression(
        aulc[order] / np.log(2), entropy[order] / np.log(2), 6 * length[order], gold[order], label_names=LABELS
    )
    for one, other in zip(first.terms, again.terms, strict=True):
        assert other[1:] == pytest.approx(one[1:])


def test_a_label_without_examples_has_no_term():
    aulc, entropy, length, gold = confounded()
    found = regression(aulc, entropy, length, np.where(gold == 0, 1, gold), label_names=LABELS)
    assert [term.term for term in found.terms] == ["intercept", "entropy", "length", "gold: contradiction"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"aulc": np.ones(30)}, "constant: the response"),
        ({"length": np.ones(30)}, "some terms are constant or collinear"),
        ({"length": np.arange(30.0), "entropy": 0.1 + np.arange(30) / 30}, "some terms are constant or collinear"),
    ],
)
def test_what_has_no_regression_says_why(changes, note):
    aulc, entropy, length, gold = confounded(30)
    found = regression(**{"aulc": aulc, "entropy": entropy, "length": length} | changes, gold=gold, label_names=LABELS)
    assert np.isnan([term.beta for term in found.terms]).all()
    assert np.isnan(found.r_squared)
    assert found.note.startswith(note)


def test_five_examples_are_too_few_for_five_coefficients():
    aulc, entropy, length, _ = confounded(5)
    found = regression(aulc, entropy, length, [0, 1, 2, 0, 1], label_names=LABELS)
    assert found.note == "5 examples: too few to regress on 4 terms (6 needed)"


@pytest.mark.parametrize(
    ("gold", "message"),
    [
        ([0, 1, 3], "indices 0 to 3, expected 0 to 2"),
        ([0, -1, 1], "indices -1 to 1"),
        ([0.0, 1.0, 2.0], "class indices of shape"),
        ([0, 1], "aulc 3, entropy 3, length 3, gold 2"),
    ],
)
def test_gold_must_be_class_indices(gold, message):
    with pytest.raises(DataError, match=message):
        regression([1, 2, 3], [1, 2, 3], [1, 2, 3], gold, label_names=LABELS)


# spearman_by_label


def test_by_label_is_spearman_of_its_examples():
    aulc, entropy, _, gold = confounded()
    found = spearman_by_label(aulc, entropy, gold, LABELS, rng=generator())
    assert [label for label, _ in found] == list(LABELS)
    for index, (_, one) in enumerate(found):
        reference = stats.spearmanr(aulc[gold == index], entropy[gold == index])
        assert (one.rho, one.p_value) == pytest.approx((reference.statistic, reference.pvalue))
        assert one.n == (gold == index).sum()
        assert one.low < one.rho < one.high


def test_a_label_without_examples_keeps_its_place():
    found = spearman_by_label(range(6), range(6), [0, 0, 0, 2, 2, 2], LABELS, rng=generator())
    assert (found[1].label, found[1].correlation.n) == ("neutral", 0)
    assert found[1].correlation.note == "0 examples: too few for a rank correlation (3 needed)"
    assert found[0].correlation.rho == pytest.approx(1.0)


def test_one_labels_examples_do_not_move_anothers_interval():
    aulc, entropy, _, gold = confounded()
    changed = np.where(gold == 0, -aulc, aulc)
    first = spearman_by_label(aulc, entropy, gold, LABELS, rng=generator())
    again = spearman_by_label(changed, entropy, gold, LABELS, rng=generator())
    assert again[0] != first[0]
    assert again[1:] == first[1:]


def test_partial_rho_over_clusters_is_the_slow_bca_of_clusters_drawn_whole():
    rng = np.random.default_rng(1)
    names = np.sort(rng.integers(0, 15, size=60))
    length, label = rng.integers(3, 30, size=60), np.array(["e", "n", "c"])[rng.integers(0, 3, size=60)]
    x = names % 4 + 0.1 * length + rng.normal(size=60)
    y = x + names % 3 + rng.normal(size=60)
    controls = {"length": length, "label": label}
    found = partial_spearman(x, y, controls, clusters=names, rng=np.random.default_rng(2), n_resamples=50)
    members = [np.flatnonzero(names == name) for name in dict.fromkeys(names)]

    def rho(chosen):
        rows = np.concatenate([members[index] for index in chosen])
        held = {name: values[rows] for name, values in controls.items()}
        return partial_spearman(x[rows], y[rows], held, rng=np.random.default_rng(0), n_resamples=40).rho

    size = len(members)
    drawn = np.array([rho(chosen) for chosen in np.random.default_rng(2).integers(0, size, size=(50, size))])
    left_out = np.array([rho(np.delete(np.arange(size), index)) for index in range(size)])
    assert (found.low, found.high) == pytest.approx(bca_ends(found.rho, drawn, left_out, 0.95), rel=1e-6)
    assert found.p_value > partial_spearman(x, y, controls, rng=np.random.default_rng(2), n_resamples=100).p_value
