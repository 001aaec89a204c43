#include "observer/notify/event_post.h"

#include "lib/base/buffer.h"

static void ignore(void *context, struct kube_response *response, const struct error *error)
{
	(void)context;
	(void)response;
	(void)error;
}

struct request *event_post(struct event_loop *loop, const char *namespace, struct buffer *event,
                           request_finish *finish, void *context)
{
	size_t length = event->length;
	const struct request request = {
	        .kube = {.method = "POST",
	                 .path = request_path("/api/v1/namespaces/%s/events", namespace),
	                 .body = buffer_steal(event),
	                 .body_length = length},
	        .finish = finish == NULL ? ignore : finish,
	        .context = context,
	};
	return event_loop_add_request(loop, &request);
}
