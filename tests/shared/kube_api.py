"""A small API server over TLS for tests: objects by their path, GET and merge patches with resource
versions; what it answers can be anything else, too. Loopback only."""
import json

from account_server import AccountServer, Quiet
from certificate import Certificate


class KubeApi(AccountServer):
    def __init__(self, folder):
        # path: an object; bytes; (status, reason); "hang-up"; None: there is none
        self.objects = {}
        self.requests = []
        outer = self

        class Handler(Quiet):
            def do_GET(self):
                outer.respond(self)

        super().__init__(folder, Handler, Certificate())

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
