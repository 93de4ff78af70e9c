"""An export folder on the Hugging Face hub."""

from pathlib import Path

from utsearch.errors import UserError
from utsearch.export import read_card


def push(folder: Path, repo: str, *, private: bool = False, endpoint: str | None = None) -> str:
    """Upload an export folder as a model repository, made where it is missing; returns its address.

    Args:
        folder: of `export`; everything in it is uploaded.
        repo: `user/name`, or `name` for one's own.
        private: whether a new repository is.
        endpoint: another hub than the one that huggingface_hub is set to.

    Raises:
        UserError: nobody is logged in, the name is none, or the hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi, errors, get_token

    unreachable = errors.HTTPError  # type: ignore[attr-defined]  # of whichever HTTP library this version uses

    card = read_card(folder)
    if not get_token():
        raise UserError("not logged in to the Hugging Face hub: run `hf auth login`, or set HF_TOKEN")
    hub = HfApi(endpoint=endpoint)
    try:
        made = hub.create_repo(repo, private=private, exist_ok=True)
        hub.upload_folder(
            repo_id=made.repo_id, folder_path=folder, commit_message=f"{card.design}, by utsearch", ignore_patterns=".*"
        )
    except errors.HFValidationError as error:
        raise UserError(f"{repo!r} is no name of a repository: {_first_line(error)}") from error
    except errors.HfHubHTTPError as error:
        raise UserError(f"the hub refuses {repo}: {_first_line(error)}") from error
    except (unreachable, OSError) as error:
        raise UserError(f"cannot reach the hub at {hub.endpoint}: {_first_line(error)}") from error
    return str(made)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
