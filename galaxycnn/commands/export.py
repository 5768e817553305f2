"""``galaxycnn export``."""

from __future__ import annotations

import argparse

from galaxycnn.commands.words import OUT, Commands, command


def add(commands: Commands) -> None:
    example = "galaxycnn export saved_models/best.keras -o best.onnx"
    text = "write a saved network as ONNX, for TensorFlow Serving, or in less space"
    parser = command(commands, "export", text, _export, example)
    parser.add_argument("model", metavar="MODEL", help="a .keras or .h5 file, or the YAML file of a finished run")
    output = (
        "a file that ends with .onnx; a folder for TensorFlow Serving, which gets the next version number; or a file"
        " that ends with .keras, of which the optimizer and the last bits of the weights are left out"
    )
    parser.add_argument("-o", "--output", required=True, metavar="PATH", help=output)


def _export(arguments: argparse.Namespace) -> None:
    from galaxycnn.exporting import export

    OUT.print(str(export(arguments.model, arguments.output)))
