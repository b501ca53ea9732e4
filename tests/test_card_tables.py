"""Tables of scores, read from the cards of weights."""

from mambadfuse.evaluation.cards import card_tables
from mambadfuse.metrics import EIGHT


def test_a_card_is_read_with_its_empty_and_its_bold_cells(tmp_path):
    card = tmp_path / "card.md"
    cells = " | ".join(f"**{k}.5** ± 0.1" for k in range(8))
    card.write_text(
        "# Card\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n25 TNO pairs:\n\n"
        f"| | {' | '.join(EIGHT)} |\n|---|{'---|' * 8}\n| ours | {cells} |\n| theirs | {' | '.join(['?'] * 8)} |\n"
    )
    expected = {name: k + 0.5 for k, name in enumerate(EIGHT)}
    assert card_tables(card) == {"25 TNO pairs:": {"ours": expected}}


def test_a_card_is_read_where_text_and_table_touch_and_numbers_are_whole(tmp_path):
    card = tmp_path / "card.md"
    header = f"| | mean rank | {' | '.join(EIGHT)} | remark |"
    row = f"| seed 0 | 1.5 | {' | '.join('-7' for _ in EIGHT)} | none |"
    card.write_text(f"# Card\n\nOver seeds:\n{header}\n|---|{'---|' * 10}\n{row}\nand so on\n")
    expected = {"mean rank": 1.5} | dict.fromkeys(EIGHT, -7.0)
    assert card_tables(card) == {"Over seeds:": {"seed 0": expected}}
