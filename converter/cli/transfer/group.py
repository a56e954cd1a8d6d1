"""The group that the verbs of ``converter transfer`` belong to."""

from __future__ import annotations

import click

from converter.cli.base import Group, main


@main.group(cls=Group, invoke_without_command=True)
@click.pass_context
def transfer(context: click.Context) -> int:
    """Move weights and parts of models from one to another."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
    return 2
