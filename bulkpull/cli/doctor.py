"""`bulkpull doctor`: is everything there that an export needs?"""

from __future__ import annotations

from bulkpull.cli import options
from bulkpull.cli.command_decorator import LOCAL, command, new_app
from bulkpull.cli.options import CommonOptions

app = new_app()


@command(app, common=LOCAL)
def doctor(*, demo: options.Demo = False, output: options.Output = None, common: CommonOptions) -> int:
    """
    Check what an export needs, from the settings to free disk space, with a next step for each problem.

    Creates nothing on the service. Exit status: 0, or that of the worst problem: 2 settings, 4 credentials, else 1.

    Examples:
        bulkpull doctor
        bulkpull doctor --demo
        bulkpull doctor --output data --config bulkpull.toml
        bulkpull doctor --json
    """
    from bulkpull.cli.run_checks import run_checks  # slow to load

    return run_checks(common, demo=demo, output=output)
