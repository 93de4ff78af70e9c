"""`proxy`: one process between hundreds of workers and their database."""

from typing import Annotated

import typer

from utsearch.cli.options import STORAGE_VARIABLE


def proxy(
    storage: Annotated[
        str, typer.Option(envvar=STORAGE_VARIABLE, show_envvar=True, help="The database: postgresql+psycopg://…")
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen on; whoever reaches it may change studies.")
    ] = "localhost",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 13000,
) -> None:
    """Serve a database of studies to workers with --storage grpc://HOST:PORT; Ctrl-C ends it, workers wait for it.

    It needs the extra `grpc`. The database sees one process with a few connections, however many workers there are.

    Example: python cli.py proxy --storage postgresql+psycopg://me@server/studies --host 0.0.0.0
    """
    from utsearch.search.storage import serve_proxy, shown

    print(f"{shown(storage)}: grpc://{host}:{port} (Ctrl-C ends it)", flush=True)
    serve_proxy(storage, host, port)
