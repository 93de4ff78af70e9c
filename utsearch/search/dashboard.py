"""Optuna's own dashboard on a study: names of the objectives, our figures, and the server."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from utsearch.search.storage import StudyError, connect, database_errors, experiments_allowed
from utsearch.search.study import Study

OBJECTIVES = ["tuner parameters", "validation top-1"]


def keep_figures(study: Study, figures: Mapping[str, Any]) -> None:
    """Keep Plotly figures with the study where the dashboard looks for them, each under its name, replaced every time.

    Args:
        study: gets the figures and the names of its objectives.
        figures: Plotly's own objects.

    Raises:
        StudyError: the extra `dashboard` is not installed, or the database cannot be written.
    """
    library = _library()
    with database_errors(study.url), experiments_allowed():
        study.optuna.set_metric_names(OBJECTIVES)
        for name, figure in figures.items():
            library.save_plotly_graph_object(study.optuna, figure, graph_object_id=name)


def serve(study: Study, host: str, port: int) -> None:
    """Serve the dashboard until it is interrupted.

    Raises:
        OSError: the address cannot be listened on.
    """
    _library().run_server(connect(study.url), host=host, port=port)


def _library() -> ModuleType:
    try:
        import optuna_dashboard
    except ModuleNotFoundError as error:
        raise StudyError(
            "the dashboard is not installed; install it with: pip install 'utsearch[dashboard]'"
        ) from error
    return optuna_dashboard
