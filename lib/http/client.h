/*
 * http_client: HTTP requests over TLS that is always verified. The only home of libcurl.
 *
 * A client keeps connections between requests and runs any number of exchanges side by side, on one
 * thread: the one that calls http_client_run(). Several threads: a client each. Only
 * http_client_wake() may be called from elsewhere.
 *
 * Order of use: http_client_start(), then http_client_run() until the exchange's finish callback
 * was called. Callbacks run inside http_client_run(). receive() must not call this module; finish()
 * may, and the exchange is gone when it returns.
 *
 * Bounds: CONNECT 2 s (TLS included; 10 s outside the cluster), then the exchange's own timeouts.
 * Redirects are not followed unless the order says so. Proxies from the environment are used
 * outside the cluster only. HTTP/1.1. Only https, unless the order allows http.
 */
#ifndef LASTWORD_LIB_HTTP_CLIENT_H
#define LASTWORD_LIB_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"

struct buffer;
struct http_client;
struct http_exchange;

/* Some of the response's body. status: the response's. false: enough, or too much; the exchange
 * ends with the problem "stopped by the receiver". */
typedef bool http_receive(void *context, long status, const char *bytes, size_t length);

struct http_result {
	long status;         /* 0: no response at all */
	int64_t retry_after; /* nanoseconds, from that header; -1: none */
	int64_t date;        /* nanoseconds since 1970, of that header, whole seconds; -1: none */
	const char *problem; /* NULL: the response is complete; else what broke it off */
	const char
	        *authenticate; /* the header WWW-Authenticate; NULL: none; until finish() returns */
};

typedef void http_finish(void *context, const struct http_result *result);

/* Another server than those that the client was made for. */
struct http_elsewhere {
	const char *const *headers; /* lines "Name: value" up to a NULL; NULL: none */
	const char *ca_file;        /* PEM, the only CAs that are trusted; NULL: the system's */
};

/* Texts are copied; the body's copy is wiped at the end. */
struct http_order {
	const char *method;
	const char *url;
	const char *bearer; /* token; NULL: none */
	const char *user;   /* with password, for Basic authentication; NULL: none */
	const char *password;
	/* Follows at most three redirects, to https only; credentials stay with the first host. */
	bool follow_redirects;
	/* The server is outside the cluster, http is allowed, and the problem of the result repeats
	 * nothing of the URL, which may be a secret. NULL: as the client was made. */
	const struct http_elsewhere *elsewhere;
	const char *content_type; /* of the body; NULL: there is no body */
	const char *accept;       /* NULL: anything */
	const char *body;
	size_t body_length;
	int64_t timeout;      /* nanoseconds for the whole; 0: as long as bytes come */
	int64_t idle_timeout; /* without a byte from the server for so long it is dead; 0: never */
	http_receive *receive;
	http_finish *finish;
	void *context;
};

/* ca_file: PEM; the only CAs that are trusted; read again for new connections after a
 * minute. NULL when there is no memory. */
struct http_client *http_client_new(const char *ca_file);
/* The same for servers outside the cluster. ca_file NULL: the system's CAs. */
struct http_client *http_client_new_outside(const char *ca_file);
/* Exchanges under way are cancelled. NULL is fine. */
void http_client_free(struct http_client *client);

/* Begins an exchange; NULL, and no finish(), without memory. */
struct http_exchange *http_client_start(struct http_client *client, const struct http_order *order);

/* Drops an exchange; finish() is not called. Not from a callback of the same exchange. */
void http_exchange_cancel(struct http_exchange *exchange);

/* Moves all exchanges on; waits for at most so many nanoseconds until one of them moves or
 * http_client_wake() is called. */
void http_client_run(struct http_client *client, int64_t nanoseconds);

/* Ends the wait of http_client_run(), the present or the next one. Any thread. */
void http_client_wake(struct http_client *client);

#endif
