"""Every table of the paper and those beside them, one declaration each; the file names carry the paper's numbers."""

from __future__ import annotations

from contested.formats import CHANGE, NATS, PLAIN, SHARE, WHOLE, learning_rate, number, p_value, yes_no
from contested.paper.omnibus import N_PERMUTATIONS
from contested.paper.report.claim_tables import CLAIM_TABLES
from contested.report import Column as Col
from contested.report import Table

_CONDITION = (Col("backbone", "model"), Col("method", "method"), Col("dataset", "data"))
_SEED = Col("seed", "seed", PLAIN)
_NOTE = Col("note", "note")
_N = Col("n", "n", WHOLE)
_P = Col("p_value", "p", p_value)
_RHO = Col("rho", "ρ", CHANGE, "low", "high", seeded=True)
_ONE_RHO = Col("rho", "ρ", CHANGE, seeded=True)
_RHO_MEAN = Col("rho_mean", "ρ", CHANGE, "rho_low", "rho_high", "rho_sd", seeded=True)
_ACCURACY = Col("val_accuracy", "validation accuracy", SHARE)
_CHANGES = tuple(
    Col(f"{name}_change", f"Δℓ {name} (nats)", CHANGE, f"{name}_low", f"{name}_high", f"{name}_sd", seeded=True)
    for name in ("contested", "clean")
)
_SHARPER = Col("entropy_difference", "prediction entropy", CHANGE, "entropy_difference_low", "entropy_difference_high")
_ONE_RUN = (_SEED, _ONE_RHO, _P, _ACCURACY, _NOTE)

_AULC = "AULC is an example's mean loss over all checkpoints, H its annotation entropy. "
_SEEDS = "Mean ± standard deviation over seeds; in brackets the {confidence} interval over examples and seeds. "
_GAPS = "“2 of 3 seeds”: the others are missing and the mean is of those present; –: no complete run. "

TABLES: tuple[Table, ...] = (
    *CLAIM_TABLES,
    Table(
        "table1_correlation", "table1", "disagreement", "Correlation of AULC with annotation entropy",
        "Spearman's ρ. " + _AULC + _SEEDS
        + "p, mean AULC: one test per condition, on each example's mean AULC over seeds; then corrected over the "
        "paper's conditions after Bonferroni and after Benjamini and Hochberg (BH), a star where the result "
        "stays significant. p, mean ρ: of the number shown, the mean of the runs' ρ. p, weakest run: the highest p of "
        "the runs tested one by one, as in the paper's Tables 3 and 4. p, max-t: by permuting H over the examples, for "
        "all conditions alike, adjusted for all of them. Mixed effects: standardised slope of AULC on H with random "
        "examples and seeds. MM: ρ with H corrected for the number of annotators. " + _GAPS,
        (
            *_CONDITION, _RHO_MEAN,
            Col("rho_mixed", "mixed effects", CHANGE, "rho_mixed_low", "rho_mixed_high"),
            Col("p_value", "p, mean AULC", p_value),
            Col("p_bonferroni", "p, Bonf.", p_value, star="significant_bonferroni"),
            Col("p_bh", "p, BH", p_value, star="significant_bh"),
            Col("p_mean_rho", "p, mean ρ", p_value), Col("p_run_highest", "p, weakest run", p_value),
            Col("p_max_t", "p, max-t", p_value),
            Col("rho_miller_madow", "ρ, MM", CHANGE), _NOTE,
        ),
        needs="a condition among the paper's", number="Table 1",
    ),
    Table(
        "omnibus", "omnibus", "disagreement", "All conditions together",
        "One test of whether AULC goes with annotation entropy in any condition: H is permuted over the examples, in "
        "the same way for all conditions that share them, and the mean of ρ over seeds and conditions is compared with "
        f"its values under {N_PERMUTATIONS:,} permutations.",
        (
            Col("dataset", "data"), Col("n_conditions", "conditions", WHOLE), _N, Col("rho_mean", "mean ρ", CHANGE),
            _P, _NOTE,
        ),
        needs="a condition among the paper's",
    ),
    Table(
        "table3_seeds", "table3", "disagreement", "Seeds, first encoder on the first data",
        "Each run by itself: ρ(AULC, H) with its p-value, and validation accuracy at the end.",
        (Col("backbone", "model"), Col("method", "method"), *_ONE_RUN),
        needs="runs of an encoder among the paper's conditions", number="Table 3",
    ),
    Table(
        "table4_decoder_seeds", "table4", "disagreement", "Seeds, decoders",
        "Each run by itself: ρ(AULC, H) with its p-value, and validation accuracy at the end.",
        (*_CONDITION, *_ONE_RUN),
        needs="runs of a decoder", number="Table 4",
    ),
    Table(
        "table2_loss_change", "table2", "unlearning", "Change of the loss, encoders",
        "Mean loss at the last checkpoint minus that at the first (Δℓ), of contested and of clean "
        "examples: above zero they were un-learned. " + _SEEDS + _GAPS,
        (*_CONDITION, *_CHANGES, _NOTE),
        needs="a condition of an encoder", number="Table 2",
    ),
    Table(
        "table5_decoder_loss_change", "table5", "unlearning", "Change of the loss, decoders",
        "As Table 2. " + _SEEDS + _GAPS,
        (*_CONDITION, *_CHANGES, _NOTE),
        needs="a condition of a decoder", number="Table 5",
    ),
    Table(
        "unlearning_beside_lora", "beside_lora", "unlearning", "Un-learning beside LoRA's",
        "Contested Δℓ under full fine-tuning or IA3 beside that of LoRA on the same backbone and data: the same "
        "examples and seeds. Less a fifth of LoRA's: below zero, un-learning is largely absent beside LoRA's, above "
        "zero it is not. Prediction entropy: of all examples at the end, minus LoRA's. In brackets: {confidence} "
        "intervals over examples and seeds.",
        (
            *_CONDITION, Col("reference", "beside"),
            Col("contested_change", "Δℓ contested (nats)", CHANGE, seeded=True),
            Col("reference_change", "under LoRA", CHANGE),
            Col("difference", "difference", CHANGE, "difference_low", "difference_high", "difference_sd"),
            Col("excess", "less a fifth of LoRA's", CHANGE, "excess_low", "excess_high", "excess_sd"), _SHARPER, _N,
            _NOTE,
        ),
        needs="a condition of full fine-tuning or IA3 beside LoRA",
    ),
    Table(
        "table6_rank_sweep", "table6", "rank", "Rank sweep",
        "Each run by itself, rank rising, full fine-tuning last.",
        (*_CONDITION, *_ONE_RUN),
        needs="runs of the rank sweep", number="Table 6",
    ),
    Table(
        "rank_trend", "table6_trend", "rank", "Does ρ rise with rank?",
        "Spearman correlation of LoRA rank with ρ, its p-value exact over all orders of the ranks; "
        "difference: ρ at the highest rank minus ρ at the lowest, {confidence} interval over examples, and over seeds "
        "where a rank has several.",
        (
            Col("backbone", "model"), Col("dataset", "data"), Col("n_ranks", "ranks", WHOLE),
            Col("seeds_per_rank", "seeds per rank", WHOLE),
            Col("rank_rho", "rank with ρ", CHANGE, seeded=True), _P,
            Col("difference", "ρ highest − lowest", CHANGE, "low", "high"), _NOTE,
        ),
        needs="runs of the rank sweep",
    ),
    Table(
        "table7_composition", "table7", "robustness", "Composition of the training set",
        "Spearman's ρ(AULC, H) where all, only low-entropy, only high-entropy, or equally many of each "
        "category's examples train; always over the whole tracked set. Mean ± standard deviation over "
        "seeds. " + _GAPS,
        (
            Col("composition", "trained on"), *_CONDITION, Col("n_trained", "tracked in training", WHOLE),
            Col("rho_mean", "ρ", CHANGE, sd="rho_sd", seeded=True), _P, _NOTE,
        ),
        needs="runs on a part of the tracked examples", number="Table 7",
    ),
    Table(
        "kendall", "kendall", "robustness", "Kendall's τ-b beside Spearman's ρ",
        "Over all plain runs of the paper's conditions: τ/ρ as mean ± standard deviation, the Spearman "
        "correlation of the two over runs, and the share of runs in which both agree in sign and "
        "significance.",
        (
            Col("n_runs", "runs", WHOLE, seeded=True),
            Col("tau_over_rho_mean", "τ/ρ", NATS, sd="tau_over_rho_sd"),
            Col("concordance", "concordance", CHANGE), Col("agreement", "agreement", SHARE), _NOTE,
        ),
        needs="a condition among the paper's", number="Table 7, continued",
    ),
    Table(
        "controls", "controls", "robustness", "Partial correlations",
        "Spearman's ρ(AULC, H), AULC averaged over seeds, with nothing, sentence length, the gold label, "
        "both, and further covariates held fixed. In brackets: {confidence} intervals.",
        (*_CONDITION, Col("control", "held fixed"), _RHO, _P, _N, _NOTE),
        needs="a condition among the paper's", folded=True,
    ),
    Table(
        "regression", "regression", "robustness", "Regression of AULC",
        "Ordinary least squares of the seed-mean AULC on entropy, length and gold label together. β: "
        "standard deviations of AULC for one of entropy or length, or for a label against the first one, in brackets "
        "its {confidence} interval over examples with HC3 standard errors, which hold where the spread rises with "
        "entropy; R² is of the whole regression.",
        (
            *_CONDITION, Col("term", "term"), Col("beta", "β", CHANGE, "low", "high", seeded=True),
            Col("se", "standard error", NATS),
            _P, Col("r_squared", "R²", NATS), _N, _NOTE,
        ),
        needs="a condition among the paper's", folded=True,
    ),
    Table(
        "per_label", "per_label", "robustness", "Correlation by gold label",
        "Spearman's ρ(AULC, H) among the examples of one gold label. In brackets: {confidence} intervals.",
        (*_CONDITION, Col("label", "gold label"), _N, _RHO, _P, _NOTE),
        needs="a condition among the paper's", folded=True,
    ),
    Table(
        "binning", "figure5", "robustness", "AULC by bins of entropy",
        "Mean AULC of the examples of each bin, with its {confidence} interval.",
        (
            Col("panel", "condition"), Col("scheme", "bins"), Col("bin", "bin"), _N,
            Col("aulc_mean", "mean AULC (nats)", NATS, "low", "high", seeded=True), _NOTE,
        ),
        needs="a condition under LoRA", number="Data of Figure 5", folded=True,
    ),
    Table(
        "noise_summary", "noise_summary", "interventions", "Replaced labels",
        "Labels of clean training examples replaced at random: their AULC against the original labels, "
        "minus that of the plain runs of the same seeds. " + _SEEDS
        + "p is of the shift over seeds; beside it how far two plain runs lie apart that differ in their seed. "
        "Wilcoxon signed-rank test and Cohen's d (paired) of each example's mean over seeds, as in the paper: they "
        "take these runs as they are, and two runs of equal settings differ by them, too. Shift of "
        "those replaced, and of those kept: a shift of the kept ones is more than memorisation.",
        (
            *_CONDITION, Col("noise", "replaced", SHARE), Col("noise_rule", "rule"),
            Col("shift_mean", "shift of clean AULC (nats)", CHANGE, "shift_low", "shift_high", "shift_sd", seeded=True),
            Col("p_seeds", "p", p_value), Col("seed_shift", "between seeds", NATS),
            Col("shift_replaced", "of those replaced", CHANGE), Col("shift_kept", "of those kept", CHANGE),
            Col("wilcoxon_p", "p, Wilcoxon", p_value), Col("cohens_d", "Cohen's d", CHANGE),
            Col("rho_mean", "ρ", CHANGE, sd="rho_sd"), _P, Col("baseline_rho_mean", "ρ, plain runs", CHANGE), _NOTE,
        ),
        needs="runs with replaced labels",
    ),
    Table(
        "noise", "noise", "interventions", "Replaced labels, run by run",
        "Each run against the plain run of its seed. In brackets: {confidence} intervals over examples; they and the "
        "test take both runs as they are, and say nothing of other seeds.",
        (
            *_CONDITION, Col("noise", "replaced", SHARE), Col("noise_rule", "rule"), _SEED,
            Col("clean_aulc", "clean AULC (nats)", NATS), Col("baseline_clean_aulc", "plain run", NATS),
            Col("shift", "shift", CHANGE, "low", "high", seeded=True), Col("wilcoxon_p", "p, Wilcoxon", p_value),
            Col("cohens_d", "Cohen's d", CHANGE), Col("rho", "ρ", CHANGE),
            _P, Col("baseline_rho", "ρ, plain run", CHANGE), _NOTE,
        ),
        needs="runs with replaced labels", folded=True,
    ),
    Table(
        "soft_labels_summary", "soft_labels_summary", "interventions", "Soft against hard labels",
        "Δℓ of contested examples where annotated examples train on all their annotators' labels (soft) "
        "or on the majority (hard); both against the hard gold label. " + _SEEDS
        + "Equivalence: the soft Δℓ is shown to be 80 to 125 % of the hard one (same), shown not to be (different), or "
        "neither; an interval of the difference that holds 0 is no such proof. p is of the difference over seeds; "
        "beside it how far two hard runs lie apart that differ in their seed. "
        "Wilcoxon signed-rank test of each example's mean over seeds: it takes these runs as they are.",
        (
            *_CONDITION, Col("contested_change_hard", "Δℓ contested, hard", CHANGE),
            Col("contested_change_soft", "Δℓ contested, soft", CHANGE),
            Col(
                "difference_mean", "soft − hard (nats)", CHANGE, "difference_low", "difference_high", "difference_sd",
                seeded=True,
            ),
            Col("ratio", "soft / hard", NATS), Col("equivalence", "equivalence"),
            Col("p_seeds", "p", p_value), Col("seed_shift", "between seeds", NATS),
            Col("wilcoxon_p", "p, Wilcoxon", p_value), _NOTE,
        ),
        needs="runs with soft labels",
    ),
    Table(
        "soft_labels", "soft_labels", "interventions", "Soft against hard labels, run by run",
        "Each run against the plain run of its seed. In brackets: {confidence} intervals over examples; they and the "
        "test take both runs as they are, and say nothing of other seeds.",
        (
            *_CONDITION, _SEED, Col("contested_change_hard", "Δℓ contested, hard", CHANGE),
            Col("contested_change_soft", "Δℓ contested, soft", CHANGE),
            Col("difference", "soft − hard (nats)", CHANGE, "low", "high", seeded=True),
            Col("wilcoxon_p", "p, Wilcoxon", p_value), Col("rho_hard", "ρ, hard", CHANGE),
            Col("rho_soft", "ρ, soft", CHANGE),
            _NOTE,
        ),
        needs="runs with soft labels", folded=True,
    ),
    Table(
        "lr_control", "lr_control", "rate", "Learning rates",
        "One learning rate for all methods leaves rank and amount of training confounded: rows with a "
        "similar training loss compare methods that have learned equally much. Δℓ of contested examples with its "
        "{confidence} interval. " + _GAPS,
        (
            *_CONDITION, Col("learning_rate", "learning rate", learning_rate),
            Col("train_loss", "training loss (nats)", NATS),
            _ACCURACY, Col("rho_mean", "ρ", CHANGE, sd="rho_sd", seeded=True),
            Col("contested_change", "Δℓ contested (nats)", CHANGE, "low", "high"),
            Col("clean_change", "Δℓ clean (nats)", CHANGE), _NOTE,
        ),
        needs="runs of the learning-rate control",
    ),
    Table(
        "lr_control_trend", "lr_control_trend", "rate", "Rate, training loss, and what goes with them",
        "Spearman correlations over the rows of the table above, of one method or of all: of contested Δℓ"
        " with the learning rate and with the training loss reached, and of ρ with the training loss.",
        (
            Col("backbone", "model"), Col("dataset", "data"), Col("method", "method"), Col("n_points", "points", WHOLE),
            Col("change_with_rate", "Δℓ with rate", CHANGE, seeded=True),
            Col("change_with_train_loss", "Δℓ with training loss", CHANGE),
            Col("rho_with_train_loss", "ρ with training loss", CHANGE), _NOTE,
        ),
        needs="runs of the learning-rate control",
    ),
    Table(
        "gradient_norms", "figure4_tests", "mechanism", "Gradient norms and entropy",
        "Spearman correlation of an example's gradient norm with its entropy, in brackets the "
        "{confidence} interval, and the Kruskal–Wallis test of the categories.",
        (
            Col("panel", "condition"), Col("step", "step", WHOLE), _RHO,
            _P, Col("kruskal_h", "Kruskal–Wallis H", number(".1f")),
            Col("kruskal_p", "p, Kruskal–Wallis", p_value), _N, Col("head", "head included", yes_no),
            Col("mode", "mode"), _NOTE,
        ),
        needs="runs with gradient norms", number="Data of Figure 4",
    ),
    Table(
        "cartography", "figure7_tests", "mechanism", "Cartography and entropy",
        "Spearman correlation of confidence with AULC; the variance of AULC that confidence and "
        "variability explain (R²); and what entropy adds to it: on a linear base as in the paper, and on a smooth "
        "surface over both, for a plane leaves to entropy what it misses of the map. p by HC3 standard errors.",
        (
            Col("dataset", "data"), Col("rho_confidence_aulc", "ρ(confidence, AULC)", CHANGE, seeded=True),
            Col("r2_confidence_variability", "R²", number(".4f")),
            Col("delta_r2_entropy", "ΔR² of entropy", number("+.5f")),
            Col("p_value_entropy", "p", p_value),
            Col("r2_flexible", "R², surface", number(".4f")),
            Col("delta_r2_flexible", "ΔR² beyond the surface", number("+.5f")),
            Col("p_value_flexible", "p, surface", p_value), _N, _NOTE,
        ),
        needs="a condition among the paper's", number="Data of Figure 7",
    ),
    Table(
        "cartography_overlap", "figure7_overlap", "mechanism", "Categories and regions of the map",
        "The share of each category's examples in each region. The regions are cut in each run by its own medians, and "
        "an example counts once for every run, main runs and rank sweep; “all”: over all data sets.",
        (
            Col("dataset", "data"), Col("category", "category"), Col("region", "region"),
            Col("n", "examples × runs", WHOLE), Col("share", "share", SHARE),
        ),
        needs="a condition among the paper's", number="Data of Figure 7", folded=True,
    ),
    Table(
        "calibration", "figure9", "mechanism", "Calibration by category",
        "At the last checkpoint, means over seeds: entropy of the prediction, in brackets its "
        "{confidence} interval; the highest probability; expected calibration error (15 bins), and what a calibrated "
        "model with the same probabilities would show of it, for few examples have some without any; the root mean "
        "squared calibration error free of that bias, in brackets its {confidence} interval with the runs held fixed; "
        "accuracy.",
        (
            *_CONDITION, Col("category", "category"),
            Col(
                "prediction_entropy", "prediction entropy "
                "(nats)", NATS, "prediction_entropy_low", "prediction_entropy_high",
                seeded=True,
            ),
            Col("max_confidence", "maximum confidence", NATS), Col("ece", "ECE", NATS),
            Col("ece_calibrated", "ECE if calibrated", NATS),
            Col(
                "calibration_error", "calibration error, debiased", NATS, "calibration_error_low",
                "calibration_error_high",
            ),
            Col("accuracy", "accuracy", SHARE),
            _N, _NOTE,
        ),
        needs="a condition among the paper's", number="Data of Figure 9", folded=True,
    ),
    Table(
        "learning_order", "learning_order", "dynamics", "Is the order of learning the same for every seed?",
        "Kendall's W of the examples' AULCs: 1 where all seeds learn in one order, "
        "about 1/seeds by chance.",
        (*_CONDITION, Col("kendall_w", "Kendall's W", NATS, seeded=True), _P, _NOTE),
        needs="a condition among the paper's",
    ),
    Table(
        "dynamics", "dynamics", "dynamics", "Learning, forgetting and margins by category",
        "Median step at which an example is learned (loss below that of guessing); share never right; "
        "mean number of times it is forgotten; area under the margin of logits, and of probabilities.",
        (
            *_CONDITION, Col("category", "category"),
            _N, Col("learning_time_median", "learned at step", WHOLE, seeded=True),
            Col("never_learned_share", "never right", SHARE), Col("forgetting_mean", "times forgotten", NATS),
            Col("aum_mean", "margin, logits", CHANGE),
            Col("probability_margin_mean", "margin, probabilities", CHANGE), _NOTE,
        ),
        needs="a condition among the paper's", folded=True,
    ),
    Table(
        "multiple_testing", "multiple_testing", "runs", "Every test, corrected",
        "Each family of tests by itself, after Bonferroni and after Benjamini and Hochberg; a star where "
        "the result stays significant.",
        (
            Col("family", "family"), Col("test", "test"),
            _P, Col("p_bonferroni", "Bonferroni", p_value, star="significant_bonferroni"),
            Col("p_bh", "Benjamini–Hochberg", p_value, star="significant_bh"), Col("family_size", "tests", WHOLE),
        ),
        needs="a condition among the paper's", folded=True,
    ),
    Table(
        "runs", "runs", "runs", "Every run",
        "Every run of the study, whether or not it exists yet, and its result.",
        (
            Col("run_id", "run"), Col("status", "status"), Col("rho", "ρ", CHANGE),
            _P, Col("kendall_tau", "τ-b", CHANGE), _ACCURACY,
            Col("train_loss", "training loss", NATS), Col("contested_change", "Δℓ contested", CHANGE),
            Col("clean_change", "Δℓ clean", CHANGE), Col("overall_change", "Δℓ overall", CHANGE),
            Col("aulc_mean", "mean AULC", NATS),
            _N, Col("excluded", "excluded"), Col("notes", "note"),
        ),
        needs="runs", folded=True,
    ),
    # What the figures draw, for whoever draws them again.
    *(
        Table(f"{name}_data", name, "", title, needs=needs, number=f"Data of Figure {name[6:]}")
        for name, title, needs in (
            ("figure1", "Loss over steps", "a condition under LoRA"),
            ("figure2", "Loss over steps", "a condition of full fine-tuning"),
            ("figure3", "Entropy of each example", "a complete run"),
            ("figure4", "Gradient norm of each example", "runs with gradient norms"),
            ("figure6", "ρ and model size", "a condition among the paper's"),
            ("figure7", "The map's examples", "a condition among the paper's"),
            ("figure8", "Cosine of mean gradients", "runs with gradient alignment"),
        )
    ),
)  # fmt: skip
