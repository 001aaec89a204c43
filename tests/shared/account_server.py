"""What every API server of the tests has: TLS on loopback, a service account that trusts it, and the
environment by which a pod finds it. What it answers is its handler's."""
import http.server
import ssl
import sys
import threading


class Quiet(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (OSError, ssl.SSLError)):
            super().handle_error(request, client_address)


class AccountServer:
    """certificate: with chain and key, for localhost."""

    def __init__(self, folder, handler, certificate):
        self.account = folder / "account"
        self.account.mkdir()
        (self.account / "ca.crt").write_text(certificate.chain)
        (self.account / "token").write_text("the-token\n")
        (folder / "api.crt").write_text(certificate.chain)
        (folder / "api.key").write_text(certificate.key)
        self.server = Server(("127.0.0.1", 0), handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "api.crt", folder / "api.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                 do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.environment = {"KUBERNETES_SERVICE_HOST": "localhost",
                            "KUBERNETES_SERVICE_PORT": str(self.server.server_address[1])}

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
