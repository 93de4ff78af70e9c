"""`dashboard`: Optuna's own dashboard on a stored study."""

from typing import Annotated

import typer

from utsearch.cli.options import STUDIES, Storage, Studies, StudyName


def dashboard(
    study: StudyName = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others reach it if it is not this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8080,
    storage: Storage = None,
    studies: Studies = STUDIES,
) -> None:
    """Open Optuna's dashboard on a study, with the report's figures in it; Ctrl-C ends it.

    It needs the extra `dashboard`. The figures are kept in the study as of the start.

    Example: python cli.py dashboard --study mini-birds-vit_mini-mini
    """
    from utsearch.errors import UserError
    from utsearch.report.report import plotly_figures
    from utsearch.report.telling import story_of
    from utsearch.search import open_study
    from utsearch.search.dashboard import keep_figures, serve

    opened = open_study(study, storage, studies_dir=studies)
    keep_figures(opened, plotly_figures(story_of(opened)))
    print(f"study {opened.name}: http://{host}:{port}/dashboard (Ctrl-C ends it)", flush=True)
    try:
        serve(opened, host, port)
    except OSError as error:
        raise UserError(f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --port") from error
