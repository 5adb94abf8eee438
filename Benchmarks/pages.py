"""Tables, and what is generated between two lines of a page."""

import pathlib


def replace(page: pathlib.Path, begin: str, end: str, text: str) -> None:
    """Replaces what stands between the lines `begin` and `end` of a page."""
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page} has no lines '{begin}' and '{end}'")
    page.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")


def table(header: list[str], lines: list[list[str]]) -> list[str]:
    """Returns a Markdown table."""
    rule = ["---"] * len(header)
    return [f"| {' | '.join(line)} |" for line in (header, rule, *lines)]
