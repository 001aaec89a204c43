"""What a fake API server needs: a service account folder, a threaded HTTPS server
whose handler is the test's. Loopback only."""
import http.server
import json
import ssl
import threading
import time

from certificate import Certificate
from waiting import HANG


class Request(http.server.BaseHTTPRequestHandler):
    """Hands every request to the server's answer(request); helpers for answering."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def date_time_string(self, timestamp=None):
        return super().date_time_string(timestamp or time.time() + self.server.ahead)

    def handle_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.content = self.rfile.read(length)
        try:
            self.server.respond(self)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def send(self, status, body, headers=None):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_status(self, code, reason, message, headers=None, status=None):
        """A Status object, as the API server prints it; status: another one for HTTP."""
        body = json.dumps({"kind": "Status", "apiVersion": "v1", "metadata": {},
                           "status": "Failure", "message": message, "reason": reason,
                           "code": code}, separators=(",", ":")).encode()
        self.send(status or code, body, headers)

    def begin_stream(self, status=200, content_type="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()

    def send_chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def end_stream(self):
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def reset(self):
        """Breaks the connection off."""
        self.close_connection = True
        self.connection.unwrap = None
        self.connection.close()

    def log_message(self, *arguments):
        pass


class ApiServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, folder, respond):
        self.respond = respond
        self.ahead = 0  # seconds, of this machine's clock
        certificate = Certificate()
        self.chain = certificate.chain
        self.account = folder / "account"
        self.account.mkdir()
        (self.account / "ca.crt").write_text(self.chain)
        self.set_token("the-token")
        (folder / "api.crt").write_text(self.chain)
        (folder / "api.key").write_text(certificate.key)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "api.crt", folder / "api.key")
        super().__init__(("127.0.0.1", 0), Request)
        self.environment = {"KUBERNETES_SERVICE_HOST": "localhost",
                            "KUBERNETES_SERVICE_PORT": str(self.server_address[1])}
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02},
                                       daemon=True)
        self.thread.start()

    def finish_request(self, request, client_address):
        # The handshake runs in the connection's own thread, so that nobody waits for a slow one.
        request.settimeout(HANG)
        with self.context.wrap_socket(request, server_side=True) as connection:
            super().finish_request(connection, client_address)

    def handle_error(self, request, client_address):
        pass  # clients come and go

    def set_token(self, token):
        (self.account / "token").write_text(token + "\n")

    def stop(self):
        self.shutdown()
        self.thread.join()
        self.server_close()
