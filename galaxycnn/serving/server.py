"""The server behind an address."""

from __future__ import annotations

import socket
from pathlib import Path

from galaxycnn.errors import MissingExtra, UserError
from galaxycnn.serving.limits import Limits

try:
    import uvicorn

    from galaxycnn.serving.app import make_app
    from galaxycnn.serving.predictor import Predictor
except ModuleNotFoundError as error:
    raise MissingExtra("the web page", "app") from error

CONNECTIONS = 200
"""Most connections at a time; a request beyond them gets the status 503."""


class Server:
    """The page and the endpoint at an address.

    Args:
        predictor: what answers.
        host: the address to listen at; ``127.0.0.1`` is seen from this machine alone.
        port: 0 for any that is free.

    Attributes:
        name: what the model is called.
        url: where it is found.

    Raises:
        UserError: the address is taken, or is none of this machine.
    """

    def __init__(self, predictor: Predictor, host: str = "127.0.0.1", port: int = 8000) -> None:
        self._socket = _listening(host, port)
        self.name = predictor.name
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            make_app(predictor),
            http="h11",
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=5,
        )
        self._server = uvicorn.Server(config)

    @classmethod
    def of(
        cls,
        model: str | Path | None,
        limits: Limits,
        host: str = "127.0.0.1",
        port: int = 8000,
        views: int | None = None,
    ) -> Server:
        """The server of a model file or ensemble, ready to answer without delay.

        Args:
            views: views of each image; None: as the model's configuration says.

        Raises:
            UserError: there is no such model, or it needs numbers beside pixels; or the address is taken.
        """
        predictor = Predictor.load(model, limits, views)
        server = cls(predictor, host, port)
        predictor.warm_up()
        return server

    def run(self) -> None:
        """Serve until Ctrl-C, or :meth:`stop`."""
        try:
            self._server.run([self._socket])
        except KeyboardInterrupt:
            pass
        finally:
            self._socket.close()

    def stop(self) -> None:
        """End :meth:`run` from another thread."""
        self._server.should_exit = True


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
    except (OSError, OverflowError) as error:
        found.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"cannot listen at {host}, port {port} ({reason}); choose another --port or --host") from None
    return found
