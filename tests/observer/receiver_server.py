"""A receiver of notifications on loopback: keeps what it gets, and misbehaves as it is told."""
import collections
import contextlib
import http.server
import json
import ssl
import struct
import socket
import threading
import time

from waiting import HANG


class Notification:
    def __init__(self, path, headers, content):
        self.path, self.headers, self.content = path, headers, content

    @property
    def body(self):
        return json.loads(self.content)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        server = self.server
        content = self.rfile.read(int(self.headers["Content-Length"]))
        notification = Notification(self.path, dict(self.headers.items()), content)
        with server.lock:
            action = server.actions.popleft() if server.actions else server.action
            server.attempts.append((time.monotonic(), notification))
        if action == "stall":
            server.released.wait(HANG)
            action = "reset"
        if action == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        status, headers = action if isinstance(action, tuple) else (action, {})
        if status < 300:
            problem = server.check and server.check(notification)
            with server.lock:
                if problem:
                    server.problems.append((problem, content))
                    status = 400
                else:
                    server.accepted.append(notification)
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        # A receiver may say anything, also what it was sent.
        response = b"" if status == 204 else b"refused: " + self.path.encode() + content[:100]
        if status != 204:
            self.send_header("Content-Length", str(len(response)))
        self.end_headers()
        self.wfile.write(response)

    do_GET = do_PUT = do_POST

    def log_message(self, *arguments):
        pass


class ReceiverServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, check=None, status=200, certificate=None, folder=None, port=0):
        """check(notification): what is wrong with it, or nothing; what is wrong is answered with 400."""
        self.check = check
        self.action = status           # or (status, headers), "stall", "reset"
        self.actions = collections.deque()  # the first ones
        self.lock = threading.Lock()
        self.released = threading.Event()
        self.attempts, self.accepted, self.problems, self.connections = [], [], [], []
        self.context = None
        self.chain = certificate and certificate.chain
        if certificate:
            (folder / "receiver.crt").write_text(certificate.chain)
            (folder / "receiver.key").write_text(certificate.key)
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(folder / "receiver.crt", folder / "receiver.key")
        super().__init__(("127.0.0.1", port), Handler)
        scheme = "https" if certificate else "http"
        self.url = f"{scheme}://localhost:{self.server_address[1]}"
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02},
                                       daemon=True)
        self.thread.start()

    def finish_request(self, request, client_address):
        request.settimeout(HANG)
        self.connections.append(request)
        if self.context:
            with self.context.wrap_socket(request, server_side=True) as connection:
                super().finish_request(connection, client_address)
        else:
            super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        pass  # clients come and go

    def bodies(self):
        with self.lock:
            return [n.body for n in self.accepted]

    def stop(self):
        """Also the connections that are kept open."""
        self.released.set()
        self.shutdown()
        self.thread.join()
        self.server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
