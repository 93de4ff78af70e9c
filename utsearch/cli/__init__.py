"""The command line. Every command imports what it needs when it runs, so that --help answers at once."""

import errno
import sys

import typer

from utsearch.cli.compare import compare
from utsearch.cli.confirm import confirm
from utsearch.cli.dashboard import dashboard
from utsearch.cli.data import data
from utsearch.cli.designs import designs
from utsearch.cli.doctor import doctor
from utsearch.cli.evaluate import evaluate
from utsearch.cli.export import export
from utsearch.cli.pareto import pareto
from utsearch.cli.predict import predict
from utsearch.cli.proxy import proxy
from utsearch.cli.push import push
from utsearch.cli.report import report
from utsearch.cli.sample import sample
from utsearch.cli.search import search
from utsearch.cli.show import show
from utsearch.cli.spaces import spaces
from utsearch.cli.studies import studies
from utsearch.cli.train import train
from utsearch.cli.worker import worker
from utsearch.errors import UserError

app = typer.Typer(
    name="utsearch",
    help="Search parameter-efficient tuner designs for a frozen vision backbone.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS = (
    *(search, worker, train, evaluate, confirm, export, push, predict, sample),
    *(pareto, report, studies, show, compare, dashboard),
    *(designs, spaces, doctor, proxy),
)
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # of whatever a command writes
for command in COMMANDS:
    app.command()(command)
app.add_typer(data)


def main() -> None:
    """Run the command line; a user's mistake ends with one clear line and exit code 2."""
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # `cli.py pareto | head`
        sys.stderr.close()
        sys.exit(141)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        print(f"error: cannot write {error.filename or 'a file'}: {error.strerror}", file=sys.stderr)
        sys.exit(2)
