"""Real servers on loopback, real MP4 files."""

from __future__ import annotations

import math
import shutil
import socket
import ssl
import subprocess
import threading
from array import array
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import av
import pytest
from PIL import Image, ImageChops

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def render(
    *,
    seconds: float = 2.0,
    picture: bool = True,
    sound: bool = True,
    container: str = "mp4",
    movflags: str = "",
    codec: str = "libx264",
    black_frames: int = 0,
    width: int = 320,
    height: int = 180,
) -> bytes:
    """A clip of 24 frames a second: a gradient that moves, with a tone."""
    options = {"movflags": movflags} if movflags else {}
    with TemporaryDirectory() as folder, (Path(folder) / "clip").open("w+b") as file:
        with av.open(file.name, "w", format=container, options=options) as out:
            if picture:
                video = out.add_stream(codec, rate=24, options={"g": "12"})
                video.width, video.height, video.pix_fmt = width, height, "yuv420p"
            if sound:
                audio = out.add_stream("aac", rate=44_100)
            if picture:
                gradient = Image.linear_gradient("L").rotate(90).resize((width, height))
                for index in range(round(seconds * 24)):
                    moved = (
                        ImageChops.offset(gradient, index * 4)
                        if index >= black_frames
                        else Image.new("L", (width, height))
                    )
                    frame = av.VideoFrame.from_image(moved.convert("RGB"))
                    for packet in video.encode(frame):
                        out.mux(packet)
                for packet in video.encode():
                    out.mux(packet)
            if sound:
                wave = array("h", (round(8_000 * math.sin(at / 20)) for at in range(round(seconds * 44_100))))
                tone = av.AudioFrame(format="s16", layout="mono", samples=len(wave))
                tone.planes[0].update(wave.tobytes())
                tone.sample_rate = 44_100
                for packet in [*audio.encode(tone), *audio.encode()]:
                    out.mux(packet)
        return file.read()


@pytest.fixture(scope="session")
def films() -> dict[str, bytes]:
    """By name, all of 2 seconds. Made once."""
    fragmented = "frag_keyframe+empty_moov+default_base_moof"
    return {
        "plain": render(),
        "faststart": render(movflags="faststart"),
        "silent": render(sound=False),
        "quicktime": render(container="mov"),
        "fragmented": render(movflags=fragmented),
        "every_frame": render(movflags="frag_every_frame+empty_moov+default_base_moof"),
        "half_fragmented": render(movflags="frag_keyframe"),
        "mpeg4": render(codec="mpeg4", sound=False),
        "sound_only": render(picture=False),
        "webm": render(container="webm", codec="libvpx", sound=False),
        "fade_in": render(black_frames=10, sound=False),
        "black": render(black_frames=99, sound=False),
    }


class Server:
    """A socket on loopback: each connection is handed to ``behave`` with the head of the request."""

    def __init__(self, behave: Callable[[socket.socket, bytes], None], context: ssl.SSLContext | None = None) -> None:
        self.heads: list[bytes] = []
        self.connections = 0
        self.server_names: list[str | None] = []
        self._behave = behave
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/video.mp4"

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._acceptor.join(5)
        for connection in self._open:
            connection.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(20)
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            with connection:
                head = b""
                while b"\r\n\r\n" not in head and (data := connection.recv(65_536)):
                    head += data
                self.heads.append(head)
                self._behave(connection, head)
                connection.shutdown(socket.SHUT_WR)
        except (OSError, ValueError):  # the client left, or the test ended
            pass


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers; each ends with the test."""
    servers: list[Server] = []

    def start(answer: bytes | Callable[[socket.socket, bytes], None], context: ssl.SSLContext | None = None) -> Server:
        behave = answer if callable(answer) else lambda connection, head: connection.sendall(answer)
        servers.append(Server(behave, context))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for media.test, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl command to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=media.test"
    names = ["-addext", "subjectAltName=DNS:media.test", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    return cert, key


@pytest.fixture
def tls(certificate: tuple[Path, Path]) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts for a server that is media.test, and for a client that trusts it."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*certificate)
    return server, ssl.create_default_context(cafile=str(certificate[0]))
