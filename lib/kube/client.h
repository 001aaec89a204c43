/*
 * kube_client: requests to the API server of the cluster that the program runs in.
 *
 * Address and credentials are where Kubernetes puts them in a pod: KUBERNETES_SERVICE_HOST and
 * _PORT, and the service account's ca.crt and token. The token is read for each request, since it
 * rotates; a rotated CA is noticed within a minute.
 *
 * A client belongs to one thread, which either blocks in kube_call(), or runs many requests at a
 * time with kube_start() and kube_run(). kube_stop() may be called from any thread: every blocking
 * call returns, and the client cannot be used again.
 *
 * A request succeeds with a complete response of status 200 to 299 that is not a Status object with
 * `status: Failure`. Everything else fails; the error then names request, status, and the Status'
 * reason and message, and response->status and ->reason have them for the program: 404 NotFound,
 * 409 AlreadyExists (POST) or Conflict (PUT of an old resourceVersion), 410 Expired, 403 Forbidden.
 */
#ifndef LASTWORD_LIB_KUBE_CLIENT_H
#define LASTWORD_LIB_KUBE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buffer.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"

#define KUBE_SERVICE_ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

#define KUBE_TIMEOUT      (10 * SECOND) /* nanoseconds for a request, if it says nothing */
#define KUBE_RESPONSE_MAX ((size_t)4 * 1024 * 1024)

#define KUBE_JSON        "application/json"
#define KUBE_MERGE_PATCH "application/merge-patch+json"
#define KUBE_JSON_PATCH  "application/json-patch+json"

struct kube_client;
struct kube_operation;

/* service_account_dir: the folder with ca.crt and token. Reads only the environment yet. */
bool kube_client_new(const char *service_account_dir, struct kube_client **ret_client,
                     struct error *error);
/* Operations under way are cancelled. NULL is fine. */
void kube_client_free(struct kube_client *client);
static inline void kube_client_cleanup(struct kube_client **client)
{
	kube_client_free(*client);
}
#define _cleanup_kube_client_ __attribute__((cleanup(kube_client_cleanup)))

/* True when the environment names an API server. */
bool kube_in_cluster(void);

/* Texts are only used during the call that takes the request. */
struct kube_request {
	const char *method;       /* NULL: GET */
	const char *path;         /* with the query: "/api/v1/pods?limit=500"; see lib/http/url.h */
	const char *content_type; /* of the body; NULL: JSON */
	const char *accept;       /* NULL: any */
	const char *body;         /* NULL: none */
	size_t body_length;
	int64_t timeout;      /* nanoseconds for the whole; 0: KUBE_TIMEOUT, of a stream none */
	int64_t idle_timeout; /* nanoseconds without a byte after which it fails; 0: none */
	size_t response_max;  /* bytes of the response's body; 0: KUBE_RESPONSE_MAX; streams: no
	                         limit */
	unsigned attempts;    /* of kube_call(): 0 and 1 mean no retry */
	bool secret;          /* the response's body is wiped when it is freed */
};

struct kube_response {
	long status;         /* of HTTP, or of a Status within a 200; 0: no complete response */
	char reason[64];     /* of a Status object: "AlreadyExists"; "" else */
	int64_t retry_after; /* nanoseconds to wait, by the header Retry-After; -1: no header */
	int64_t date;       /* the server's clock, nanoseconds, by the header Date; -1: no header */
	struct buffer body; /* empty for a stream */
};

void kube_response_init(struct kube_response *response);
void kube_response_free(struct kube_response *response);
#define _cleanup_kube_response_ __attribute__((cleanup(kube_response_free)))

/*
 * Sends a request and waits for its end. *response (initialised; emptied first) is filled as far as
 * it arrives, also on failure. With attempts, a failed request is sent again after
 * kube_retry_delay().
 */
bool kube_call(struct kube_client *client, const struct kube_request *request,
               struct kube_response *response, struct error *error);

/* From any thread: kube_call() and kube_run() return at once, now and later. */
void kube_stop(struct kube_client *client);

/* ---- Many at a time ---- */

struct http_client;
/* What carries the requests, for requests to other servers beside them: kube_run() handles both. */
struct http_client *kube_http_client(struct kube_client *client);

/* Called with each part of a successful stream's body. False ends the stream, which fails. */
typedef bool kube_receive(void *context, const char *bytes, size_t length);

/* Called at the end of an operation, which is freed afterwards. error: NULL for success (of a
 * stream: the server ended it in order). It may start others. */
typedef void kube_finish(void *context, struct kube_response *response, const struct error *error);

/* Begins a request, a stream where the body goes to receive(); receive NULL: it is in the response.
 * Of a stream without an idle_timeout a half-open connection is never noticed. On failure finish()
 * is not called. */
bool kube_start(struct kube_client *client, const struct kube_request *request,
                kube_receive *receive, kube_finish *finish, void *context,
                struct kube_operation **ret_operation, struct error *error);
/* finish() is not called. Not from receive(). */
void kube_cancel(struct kube_operation *operation);
/* Handles what has arrived; if nothing has, waits for it for at most that time. */
void kube_run(struct kube_client *client, int64_t nanoseconds);
/* Ends the wait of kube_run(). From any thread. */
void kube_wake(struct kube_client *client);

/* ---- Decisions and questions ---- */

/*
 * Pure. How long to wait, in nanoseconds, before attempt + 1 of a request whose attempt (1, 2, …)
 * ended with this response; -1: another attempt makes no sense. random: any number, for the jitter.
 *
 * A request is retried after 429, 500, 502, 503, 504, and a GET also without a response (of other
 * methods nobody knows whether they took effect). The wait doubles from 100 ms to 30 s, half of it
 * random, and is never shorter than Retry-After.
 */
int64_t kube_retry_delay(const char *method, const struct kube_response *response, unsigned attempt,
                         uint64_t random);

/* GET /version: the minor number of 1.minor. Within two seconds. */
bool kube_server_minor(struct kube_client *client, unsigned *ret_minor, struct error *error);

#endif
