"""The notebook runs from top to bottom, and what is committed of its output is small and was made by it."""

import os
from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "quickstart.ipynb"


def executed(folder: Path) -> nbformat.NotebookNode:
    """The notebook after a run in an empty folder."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": folder}}
    )
    return client.execute(env=os.environ | {"PYTHONPATH": str(NOTEBOOK.parents[1])})


@pytest.mark.timeout(280)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_the_notebook_runs(tmp_path: Path) -> None:
    notebook = executed(tmp_path)
    kinds = {kind for cell in notebook.cells for out in cell.get("outputs", []) for kind in out.get("data", {})}
    assert kinds >= {"image/png", "application/vnd.plotly.v1+json"}
    assert (tmp_path / "my-tuner" / "design.json").is_file()


def test_it_is_committed_with_its_output() -> None:
    assert NOTEBOOK.stat().st_size < 300_000
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [out for cell in cells for out in cell.outputs if out.output_type == "error"]
    assert not [out for cell in cells for out in cell.outputs if out.get("name") == "stderr"]  # a machine's paths
    assert sum(bool(cell.outputs) for cell in cells) >= 5
