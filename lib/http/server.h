/*
 * server: an HTTP/1.1 server, with or without TLS (1.2 or newer), for short requests and responses.
 * The only home of libmicrohttpd.
 *
 * Bounds, so that no client can hold the server: a body limit (413); limits on connections, on the
 * requests in flight and on the bytes of all bodies and responses (503 with Retry-After), shared
 * fairly between the addresses of clients (connections.h); and a deadline for each phase of a
 * connection. The deadlines are absolute: a byte now and then does not extend them. A connection
 * past its deadline is shut down without a response.
 *   header_seconds  from accept to the end of the first request's header (TLS handshake included)
 *   body_seconds    from the end of the header until the response is sent
 *   idle_seconds    from a response to the end of the next request's header; above the 90 s for
 *                   which the API server keeps idle connections, so that it closes first
 * The memory that a handler works in is not counted: at most threads of them run at a time.
 *
 * The handler runs on one of the server's threads, several at a time. Identities (certificate and
 * key) may be changed at any time: handshakes that began keep the old one, connections live on.
 * One server with TLS a process. Every function may be called from any thread, except that stop
 * comes last and once.
 */
#ifndef LASTWORD_LIB_HTTP_SERVER_H
#define LASTWORD_LIB_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "lib/base/buffer.h"
#include "lib/base/error.h"
#include "lib/http/connections.h"

struct http_server;

struct http_request {
	const char *method;
	const char *path;         /* without the query */
	const char *content_type; /* NULL: none */
	const char *client;       /* its address */
	const char *body;         /* length bytes and a NUL */
	size_t length;
};

struct http_response {
	unsigned status;          /* 200 at the start */
	const char *content_type; /* static; text/plain at the start */
	const char *allow;        /* static; for 405 */
	struct buffer body;       /* empty and growing */
};

/* A response of one line of plain text; the text ends with its newline. */
void http_response_text(struct http_response *response, unsigned status, const char *text);

typedef void http_handler(void *context, const struct http_request *request,
                          struct http_response *response);

struct http_server_options {
	const char *address; /* HOST:PORT, :PORT or [V6]:PORT; port 0 is any free one */
	bool tls;
	unsigned threads;
	size_t body_max;                 /* bytes of one body */
	size_t response_max;             /* bytes of one response's body */
	struct connection_limits limits; /* bytes: of all bodies and responses together */
	unsigned header_seconds;
	unsigned body_seconds;
	unsigned idle_seconds;
	http_handler *handler;
	void *context;
};

/* Binds, listens and serves. With TLS, handshakes fail until an identity is set. */
bool http_server_start(const struct http_server_options *options, struct http_server **ret_server,
                       struct error *error);

/* The address that is listened on, with the real port; lives as long as the server. */
const char *http_server_address(const struct http_server *server);

/* The identity for handshakes from now on: PEM texts of the chain, leaf first, and of its key. What
 * does not parse or belong together is refused and the present identity stays. The validity of
 * the leaf is returned, not judged. */
bool http_server_set_identity(struct http_server *server, const char *chain_pem,
                              const char *key_pem, time_t *ret_not_before, time_t *ret_not_after,
                              struct error *error);

/* From now on every response closes its connection, so that clients go elsewhere. */
void http_server_drain(struct http_server *server);

/* Accepts nothing more and waits for the requests in flight, at most so long; the number left. */
unsigned http_server_quiesce(struct http_server *server, unsigned seconds);

/* Closes everything and frees the server. NULL is fine. */
void http_server_stop(struct http_server *server);

struct http_server_counts {
	uint64_t connections; /* open now */
	uint64_t requests;    /* in flight */
	uint64_t overloaded;  /* answered with 503 here */
	uint64_t timed_out;   /* connections shut down past a deadline */
	uint64_t displaced;   /* connections shut down to make room for others */
};
void http_server_counts(struct http_server *server, struct http_server_counts *ret_counts);

#endif
