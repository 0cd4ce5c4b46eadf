"""The hooks, nothing else.

conda imports this module at every command, so it imports nothing but `hookimpl`; everything else is imported inside of
the hooks when it is needed. A test measures that in a fresh interpreter.
"""

from conda.plugins import hookimpl


@hookimpl
def conda_subcommands():  # type: ignore[no-untyped-def]
    """Register ``conda prune``."""
    from conda.plugins.types import CondaSubcommand

    yield CondaSubcommand(
        name="prune",
        summary="Remove what no environment needs from the package caches.",
        action=_execute,
        configure_parser=_configure_parser,
    )


@hookimpl
def conda_settings():  # type: ignore[no-untyped-def]
    """Register the settings of ``.condarc``."""
    from .cli.settings import register

    yield from register()


def _configure_parser(parser):  # type: ignore[no-untyped-def]
    from .cli.main import configure_parser

    configure_parser(parser)


def _execute(arguments):  # type: ignore[no-untyped-def]
    from .cli.main import execute

    return execute(arguments)
