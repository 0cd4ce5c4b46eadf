"""conda's plugin hooks, and nothing else.

conda imports this module at every command, so it imports only `hookimpl` and what conda has imported already. The hooks
import the rest when they need it: the parser needs its tables only. Tests list the modules in a fresh interpreter.
"""

from conda.plugins import hookimpl


@hookimpl
def conda_subcommands():  # type: ignore[no-untyped-def]
    """Register ``conda prune``."""
    from conda.plugins.types import CondaSubcommand

    yield CondaSubcommand(
        name="prune",
        summary="Remove cached packages that no environment uses.",
        action=_execute,
        configure_parser=_configure_parser,
    )


@hookimpl
def conda_settings():  # type: ignore[no-untyped-def]
    """Register the settings of ``.condarc``."""
    from .settings import register

    yield from register()


@hookimpl
def conda_post_commands():  # type: ignore[no-untyped-def]
    """Register what the setting ``prune_auto`` asks for."""
    from conda.plugins.types import CondaPostCommand

    yield CondaPostCommand(
        name="prune_auto",
        action=_after_command,
        run_for={"install", "update", "remove", "env_update", "env_remove"},
    )


@hookimpl
def conda_health_checks():  # type: ignore[no-untyped-def]
    """Register what ``conda doctor`` says of the package caches."""
    from conda.plugins.types import CondaHealthCheck

    from .cli.doctor import health_check

    yield health_check(CondaHealthCheck)


@hookimpl
def conda_error_hints(error):  # type: ignore[no-untyped-def]
    """Suggest ``conda prune`` where the disk or the quota is used up. conda has this hook from 26.7 on."""
    from errno import EDQUOT, ENOSPC

    from conda.plugins import types

    cause = getattr(error, "_caused_by", None)
    if hasattr(types, "CondaErrorHint") and getattr(cause, "errno", None) in (ENOSPC, EDQUOT):
        yield types.CondaErrorHint(
            text="Run `conda prune --dry-run` to see how much space unused packages take.",
            hint_code="prune_package_caches",
        )


@hookimpl
def conda_clean_paths():  # type: ignore[no-untyped-def]
    """Register what ``conda clean --prune-backups`` deletes, where conda has the hook (conda/conda#16370).

    ``conda clean --force-pkgs-dirs`` asks no plugin.
    """
    from conda.plugins import types

    if hasattr(types, "CondaCleanPath"):
        yield types.CondaCleanPath(
            name="prune-backups",
            find=_backups,
            summary="Remove the packages that `conda prune --backup` has moved aside. They can't be restored.",
        )


def _configure_parser(parser):  # type: ignore[no-untyped-def]
    """Add all options and commands: whatever reads conda's parser sees them too."""
    import os

    if "_ARGCOMPLETE" in os.environ:
        from .cli.parsing import completion

        # Another command's line is left to whatever else completes it.
        if (words := completion.asked_of(os.environ)) is not None:
            completion.complete(parser, words)
    from .cli.parsing.parsers import configure_parser

    configure_parser(parser)


def _execute(arguments):  # type: ignore[no-untyped-def]
    from .cli.main import execute

    return execute(arguments)


def _backups(prefix):  # type: ignore[no-untyped-def]
    from .operations.runs.purge_runs import package_backups

    return package_backups()


def _after_command(command):  # type: ignore[no-untyped-def]
    from .cli.auto_prune import after_command

    after_command()
