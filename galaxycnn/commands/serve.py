"""``galaxycnn serve``."""

from __future__ import annotations

import argparse
from dataclasses import fields

from galaxycnn.commands.words import OUT, Commands, command, default_model_word
from galaxycnn.serving.limits import Limits


def add(commands: Commands) -> None:
    example = "galaxycnn serve --port 8080"
    text = "open a web page, and an HTTP endpoint, where a model looks at galaxies"
    parser = command(commands, "serve", text, _serve, example)
    default_model_word(parser)
    host = "address to listen at; 0.0.0.0 for all networks (default: 127.0.0.1, seen from this machine alone)"
    parser.add_argument("--host", default="127.0.0.1", metavar="HOST", help=host)
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="default: 8000; 0: any that is free")
    views = "views of each image to average (default: as the model's configuration says)"
    parser.add_argument("--views", type=int, metavar="N", help=views)
    limits = parser.add_argument_group("limits")
    for each in fields(Limits):
        name, what = each.name.replace("_", "-"), f"{each.metadata['text']} (default: {each.default:g})"
        limits.add_argument(f"--{name}", type=type(each.default), default=each.default, metavar="N", help=what)


def _serve(arguments: argparse.Namespace) -> None:
    from galaxycnn.serving.server import Server

    limits = Limits(**{each.name: getattr(arguments, each.name) for each in fields(Limits)})
    server = Server.of(arguments.model, limits, arguments.host, arguments.port, arguments.views)
    OUT.print(f"{server.name} at {server.url} (Ctrl-C ends it); for programs: {server.url}/api")
    server.run()
