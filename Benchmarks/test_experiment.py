"""What the experiment trains, and what its tables say of known results."""

import pathlib
import unittest

from .experiment_report import Results, Run, beside_paper, markdown, percent, shares, sizes
from .experiment_systems import LOSSES, SPEC, SYSTEMS, Settings, run_name

ROOT = pathlib.Path(__file__).resolve().parent.parent


def results(settings: Settings, share: float | None = 0.5) -> Results:
    """Returns results in which each further seed takes a tenth more of its dense run."""
    runs = [Run(system, seed, [metrics(seed)]) for system, seed in settings.runs]
    matches = {
        run_name(system, seed): {loss: match(share, seed) for loss in LOSSES}
        for system, seed in settings.runs
        if system is not SYSTEMS[0]
    }
    parameters = {system.name: 2_000_000 for system in SYSTEMS}
    seconds = {system.name: 0.2 + 0.1 * number for number, system in enumerate(SYSTEMS)}
    return Results(settings, 2, parameters, runs, matches, seconds)


def metrics(seed: int) -> dict[str, float]:
    """Returns the last line of a run."""
    losses = {f"validation.{loss}": 1.0 + seed for loss in LOSSES}
    return {"step": 100, "flops": 5e11} | losses


def match(share: float | None, seed: int) -> dict:
    """Returns what `motc match` says of a loss."""
    of_axes = {} if share is None else {"steps": share + seed / 10}
    return {"share": of_axes, "notReached": 2}


class SystemsTest(unittest.TestCase):
    def test_each_changes_two_lines_of_the_spec_and_its_name(self):
        text = (ROOT / SPEC).read_text()
        specs = {system.spec(text) for system in SYSTEMS}
        self.assertEqual(len(specs), len(SYSTEMS))
        for spec in specs:
            pairs = zip(text.splitlines(), spec.splitlines(), strict=True)
            self.assertLessEqual(sum(old != new for old, new in pairs), 3)

    def test_a_spec_without_the_line_is_refused(self):
        with self.assertRaisesRegex(ValueError, "0 times, not once"):
            SYSTEMS[0].spec("let model = 1")

    def test_each_seed_has_a_run_to_match_with(self):
        runs = Settings().runs
        self.assertEqual(len(set(runs)), len(runs))
        self.assertEqual(len(runs), sum(system.seeds for system in SYSTEMS))
        self.assertTrue(all((SYSTEMS[0], seed) in runs for _, seed in runs))


class ReportTest(unittest.TestCase):
    def test_seeds_are_averaged(self):
        found = results(Settings())
        row = next(line for line in shares(found, "steps") if line.startswith("| mot |"))
        self.assertEqual(row.split(" | ")[1], "60.0 (50.0–70.0) %")
        # Two losses of each run and each column.
        self.assertTrue(row.endswith(f" {2 * 3 * len(LOSSES)} |"))
        self.assertIn("| 5.00 | 200.0 | 2.0000 (1.0000–3.0000) |", sizes(found)[2])

    def test_time_is_steps_times_the_time_of_a_step(self):
        found = results(Settings())
        row = next(line for line in shares(found, "seconds") if line.startswith("| mot |"))
        # The third system's steps take twice the time of the first's.
        self.assertEqual(row.split(" | ")[1], "120.0 (100.0–140.0) %")

    def test_what_has_no_line_has_no_figure(self):
        found = results(Settings(), share=None)
        row = next(line for line in shares(found, "steps") if line.startswith("| mot |"))
        self.assertTrue(row.startswith("| mot | – | – | – | – |"))
        self.assertIn("| steps, here | – | – | – | – |", beside_paper(found))
        self.assertEqual(percent([]), "–")

    def test_the_page_has_its_pictures(self):
        text = markdown(results(Settings()))
        self.assertIn("(experiment-curves.svg)", text)
        self.assertIn("(experiment-match.svg)", text)


if __name__ == "__main__":
    unittest.main()
