"""A small API server over TLS for tests: objects by their path, GET and merge patches with resource
versions; what it answers can be anything else, too. Loopback only."""
import http.server
import json
import ssl
import sys
import threading

from certificate import Certificate


class KubeApi:
    def __init__(self, folder):
        certificate = Certificate()
        self.account = folder / "account"
        self.account.mkdir()
        (self.account / "ca.crt").write_text(certificate.chain)
        (self.account / "token").write_text("the-token\n")
        (folder / "api.crt").write_text(certificate.chain)
        (folder / "api.key").write_text(certificate.key)
        # path: an object; bytes; (status, reason); "hang-up"; None: there is none
        self.objects = {}
        self.requests = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.respond(self)

            def log_message(self, *arguments):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                if not isinstance(sys.exc_info()[1], (OSError, ssl.SSLError)):
                    super().handle_error(request, client_address)

        self.server = Server(("127.0.0.1", 0), Handler)
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

    def respond(self, request):
        value = self.objects.get(request.path)
        try:
            if value == "hang-up":
                request.close_connection = True
                request.connection.close()
            elif isinstance(value, tuple):
                self.send_status(request, *value)
            elif value is None:
                self.send_status(request, 404, "NotFound")
            else:
                self.send(request, 200, value)
        finally:
            self.requests.append((request.command, request.path))

    def send_status(self, request, code, reason):
        self.send(request, code, {"kind": "Status", "apiVersion": "v1", "status": "Failure",
                                  "reason": reason, "message": f"{request.path}: {reason}",
                                  "code": code})

    @staticmethod
    def send(request, code, value):
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        request.send_response(code)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)
