#include "observer/pod/pod_lookup.h"

#include "lib/document/json.h"

struct request *pod_lookup_request(struct event_loop *loop, const char *namespace, const char *name,
                                   request_finish *finish, void *context)
{
	const struct request request = {
	        .kube = {.path = request_path("/api/v1/namespaces/%s/pods/%s", namespace, name),
	                 .accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,"
	                           "application/json"},
	        .finish = finish,
	        .context = context,
	};
	return event_loop_add_request(loop, &request);
}

bool pod_lookup_found(const struct kube_response *response, const char *uid)
{
	json *object;
	struct arena *_cleanup_arena_ arena = arena_new(0);
	return arena != NULL &&
	       json_parse(arena, buffer_text(&response->body), response->body.length, 0, &object,
	                  NULL) != JSON_INVALID &&
	       json_string_is(json_find(object, "metadata", "uid", NULL), uid);
}
