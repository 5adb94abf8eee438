"""What the experiment trains, and what its tables say of known results."""

import pathlib
import unittest

from .experiment import PAGE
from .experiment_report import Results, Run, beside_paper, markdown, percent, shares, sizes
from .experiment_studies import CHAMELEON, STUDIES, TRANSFUSION, Study, run_name

ROOT = pathlib.Path(__file__).resolve().parent.parent


def results(study: Study, share: float | None = 0.5) -> Results:
    """Returns results in which each further seed takes a tenth more of its dense run."""
    runs = [Run(system, seed, [metrics(study, seed)]) for system, seed in study.runs]
    matches = {
        run_name(system, seed): {loss: match(share, seed) for loss in study.losses}
        for system, seed in study.runs
        if system is not study.base
    }
    parameters = {system.name: 2_000_000 for system in study.systems}
    seconds = {system.name: 0.2 + 0.1 * number for number, system in enumerate(study.systems)}
    return Results(study, 2, parameters, runs, matches, seconds)


def metrics(study: Study, seed: int) -> dict[str, float]:
    """Returns the last line of a run."""
    losses = {f"validation.{loss}": 1.0 + seed for loss in study.losses}
    return {"step": 100, "flops": 5e11} | losses


def match(share: float | None, seed: int) -> dict:
    """Returns what `motc match` says of a loss."""
    of_axes = {} if share is None else {"steps": share + seed / 10}
    return {"share": of_axes, "notReached": 2}


def row(lines: list[str], name: str) -> list[str]:
    """Returns the cells of the line of a table that begins with a name."""
    line = next(line for line in lines if line.startswith(f"| {name} |"))
    return line.strip("| ").split(" | ")


class StudiesTest(unittest.TestCase):
    def test_each_system_changes_two_lines_of_the_spec_and_its_name(self):
        for study in STUDIES:
            text = (ROOT / study.spec).read_text()
            specs = {study.text(system, text) for system in study.systems}
            self.assertEqual(len(specs), len(study.systems))
            for spec in specs:
                pairs = zip(text.splitlines(), spec.splitlines(), strict=True)
                self.assertLessEqual(sum(old != new for old, new in pairs), 3)

    def test_a_spec_without_the_line_is_refused(self):
        with self.assertRaisesRegex(ValueError, "0 times, not once"):
            CHAMELEON.text(CHAMELEON.base, "let model = 1")

    def test_each_seed_has_a_run_to_match_with(self):
        for study in STUDIES:
            runs = study.runs
            self.assertEqual(len(set(runs)), len(runs))
            self.assertEqual(len(runs), sum(system.seeds for system in study.systems))
            self.assertTrue(all((study.base, seed) in runs for _, seed in runs))

    def test_dense_shares_all_weights_and_the_other_none(self):
        text = (ROOT / TRANSFUSION.spec).read_text()
        dense, mot = (TRANSFUSION.text(system, text) for system in TRANSFUSION.systems)
        self.assertIn("untied: .none", dense)
        self.assertNotIn("untied", mot)

    def test_studies_have_places_of_their_own(self):
        self.assertEqual(len({study.name for study in STUDIES}), len(STUDIES))
        page = PAGE.read_text()
        for study in STUDIES:
            begin, end = study.marks
            self.assertEqual((page.count(begin), page.count(end)), (1, 1))
            self.assertLess(page.index(begin), page.index(end))

    def test_the_short_form_differs_in_settings_alone(self):
        for study in STUDIES:
            short = study.shortly()
            self.assertLess(short.settings.steps, 10)
            self.assertEqual(short.systems, study.systems)
            self.assertEqual(bool(short.settings.spoken), bool(study.settings.spoken))


class ReportTest(unittest.TestCase):
    def test_seeds_are_averaged(self):
        found = results(CHAMELEON)
        cells = row(shares(found, "steps"), "mot")
        self.assertEqual(cells[1], "60.0 (50.0–70.0) %")
        # Two losses of each run and each column.
        self.assertEqual(cells[-1], str(2 * 3 * len(CHAMELEON.losses)))
        self.assertIn("| 5.00 | 200.0 | 2.0000 (1.0000–3.0000) |", sizes(found)[2])

    def test_time_is_steps_times_the_time_of_a_step(self):
        # The third system's steps take twice the time of the first's.
        cells = row(shares(results(CHAMELEON), "seconds"), "mot")
        self.assertEqual(cells[1], "120.0 (100.0–140.0) %")

    def test_what_has_no_line_has_no_figure(self):
        found = results(CHAMELEON, share=None)
        self.assertEqual(row(shares(found, "steps"), "mot")[1:-1], ["–"] * 4)
        self.assertEqual(row(beside_paper(found), "steps, here")[1:], ["–"] * 4)
        self.assertEqual(percent([]), "–")

    def test_each_study_stands_beside_its_own_figures_of_the_paper(self):
        table = beside_paper(results(TRANSFUSION))
        self.assertEqual(table[0], "| MoT of dense | loss | text | image |")
        paper = row(table, "steps, Transfusion 7B, the paper")
        self.assertEqual(paper[1:], ["–", "–", "a third"])
        self.assertEqual(row(table, "steps, here")[3], "55.0 (50.0–60.0) %")
        self.assertFalse(any("Transfusion" in line for line in beside_paper(results(CHAMELEON))))

    def test_the_page_has_its_pictures_and_says_what_was_trained(self):
        for study in STUDIES:
            text = markdown(results(study))
            for what in ("curves", "match"):
                self.assertIn(f"({study.picture(what)})", text)
            self.assertEqual("spoken captions" in text, study.settings.spoken > 0)
            self.assertIn(f"{study.settings.steps:,} steps", " ".join(text.split()))


if __name__ == "__main__":
    unittest.main()
