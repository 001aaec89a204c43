/* The bytes of a watch, after an empty list, given to a whole observer without a network: whatever
 * they are, it stays within its bounds, makes sensible requests next, and frees everything. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "observer/observer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore_drop(void *transport, struct request *request)
{
	(void)transport;
	(void)request;
}

static void respond(struct observer *observer, struct request *request, long status,
                    const char *body)
{
	struct kube_response _cleanup_kube_response_ reply;
	struct error error = {"no"};
	kube_response_init(&reply);
	reply.status = status;
	if (request->receive == NULL || status != 200)
		buffer_append_text(&reply.body, body);
	else if (!event_loop_receive(request, body, strlen(body)))
		abort();
	event_loop_finish_request(&observer->loop, request, &reply, status == 200 ? NULL : &error);
}

/* Everything but lists and watches gets 404. *ret_watch: the watch, when it is requested. */
static void serve(struct observer *observer, struct request **ret_watch)
{
	struct request *request;
	for (int i = 0; i < 1000 && (request = event_loop_next_request(&observer->loop)) != NULL;
	     i++) {
		if (strstr(request->kube.path, "&watch=1") != NULL)
			*ret_watch = request;
		else if (strstr(request->kube.path, "/api/v1/pods?") != NULL)
			respond(observer, request, 200,
			        "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[]}");
		else
			respond(observer, request, 404, "{}");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct observer *observer = malloc(sizeof *observer);
	struct observer_options options = observer_defaults;
	struct request *watch = NULL;
	struct error error;
	int64_t now = SECOND;
	log_set_level(LOG_ERROR + 1);
	options.seed = size;
	if (observer == NULL ||
	    !observer_init(observer, &options, now, INT64_C(1795459080) * SECOND, &error))
		abort();
	observer->loop.cancel = ignore_drop;
	observer_start(observer);
	for (int i = 0; i < 10 && watch == NULL; i++) {
		observer_advance(observer, now, INT64_C(1795459080) * SECOND);
		serve(observer, &watch);
	}
	if (watch == NULL)
		abort();
	bool more = true;
	for (size_t at = 0; more && at < size; at += 100)
		more = event_loop_receive(watch, (const char *)data + at,
		                          size - at < 100 ? size - at : 100);
	respond(observer, watch, more ? 200 : 0, "");
	watch = NULL;
	for (int i = 0; i < 20; i++) {
		now += SECOND;
		observer_advance(observer, now, INT64_C(1795459080) * SECOND + now);
		serve(observer, &watch);
	}
	if (watch == NULL) /* it goes on */
		abort();
	observer_free(observer);
	free(observer);
	return 0;
}
