"""The commands: one file each, with ``add(commands)``; ``galaxycnn.cli`` lists them."""
