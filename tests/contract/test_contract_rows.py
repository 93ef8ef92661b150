"""
Every command and every exit status of the contract names the test that holds it, or why it waits.

`contract.md` has sections 1 and 3 of the contract, word for word. A row that is added there fails here until it is in
the table.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TESTS = HERE.parent
_ROW = re.compile(r"^\| (?P<first>`bulkpull.*?`(?:, `bulkpull.*?`)*|\d+) \|", re.MULTILINE)

# ruff: noqa: E501 - a row and its test on one line
HELD = {
    "`bulkpull export [DATASET ...]`": "journeys/test_main_job.py::test_eighteen_listed_datasets_arrive_and_hold_exactly_what_the_csv_said",
    "`bulkpull export --demo`": "cli/test_export_command.py::test_a_demo_takes_no_address_and_no_credential_from_the_environment",
    "`bulkpull nightly`": "cli/test_nightly_command.py::test_the_first_night_brings_data_and_the_second_finds_nothing_new_in_three_calls",
    "`bulkpull datasets [NAME]`": "cli/test_ordering_commands.py::test_every_operation_of_the_service_can_be_used_from_the_command_line",
    "`bulkpull preview DATASET`": "cli/test_reading_commands.py::test_a_preview_of_nothing_that_is_there_is_refused_before_it_is_sent",
    "`bulkpull queries list\\|create\\|delete`": "cli/test_managing_commands.py::test_only_named_queries_are_deleted_and_none_that_is_in_use",
    "`bulkpull reports list\\|show\\|create\\|update\\|pause\\|resume\\|delete`": "cli/test_managing_commands.py::test_reports_are_listed_shown_paused_and_resumed",
    "`bulkpull executions REPORT_ID`": "cli/test_managing_commands.py::test_executions_tell_that_there_is_a_link_and_never_the_link",
    "`bulkpull runs list\\|show\\|resume\\|verify`": "cli/test_nightly_command.py::test_reports_are_submitted_by_one_command_and_collected_by_another",
    "`bulkpull status [--max-age 36h]`": "cli/test_status.py::test_a_dataset_that_nobody_looked_for_in_time_gives_3_and_is_named",
    "`bulkpull auth check\\|login\\|logout`": "cli/test_auth_commands.py::test_good_credentials_are_told_step_by_step",
    "`bulkpull init`, `bulkpull doctor [--storage]`": "cli/test_doctor.py::test_a_good_account_is_told_line_by_line_in_80_columns",
    "`bulkpull runs look`": "cli/test_looking_and_telling.py::test_a_look_tells_which_reports_of_a_submitted_run_are_ready",
    "`bulkpull simulate`": "cli/test_looking_and_telling.py::test_a_fault_that_is_served_says_which_datasets_are_offered",
    "0": "cli/test_export_command.py::test_datasets_that_the_account_is_not_offered_are_no_failure_unless_named",
    "1": "cli/test_export_command.py::test_an_unexpected_fault_gives_1_in_one_message",
    "2": "cli/test_json_endings.py::test_a_misuse_is_one_object_with_exit_2",
    "3": "cli/test_export_command.py::test_a_failed_dataset_gives_3_with_the_manifest_and_harms_no_other",
    "4": "cli/test_export_command.py::test_a_user_without_the_role_gets_4_and_is_told_once",
    "5": "cli/test_export_command.py::test_a_folder_that_another_run_writes_to_gives_5_and_names_it",
    "130": "cli/test_managing_commands.py::test_at_a_terminal_the_user_is_asked_and_obeyed",
}
WAITS = {
    "`bulkpull probe`": "the command does not exist yet",
    "`bulkpull fleet export\\|nightly\\|plan\\|status\\|verify`": "the command does not exist yet",
}
ROWS = [found["first"] for found in _ROW.finditer((HERE / "contract.md").read_text(encoding="utf-8"))]


def test_every_row_names_its_test_or_why_it_waits() -> None:
    assert sorted(ROWS) == sorted([*HELD, *WAITS])
    assert all(WAITS.values())


@pytest.mark.parametrize("row", sorted(HELD))
def test_the_test_that_a_row_names_exists(row: str) -> None:
    file, _, name = HELD[row].partition("::")

    assert re.search(rf"^(async )?def {name}\(", (TESTS / file).read_text(encoding="utf-8"), re.MULTILINE)
