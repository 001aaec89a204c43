#include "observer/pod/pod_lookup.h"

#include "lib/document/json.h"
#include "lib/document/json_stream.h"

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

static const struct json_filter metadata[] = {{.key = "uid"}, {.key = NULL}};
static const struct json_filter object[] = {{.key = "metadata", .members = metadata},
                                            {.key = NULL}};

struct lookup {
	const char *uid;
	bool found;
};

static bool take(void *context, const struct json_piece *piece)
{
	struct lookup *lookup = context;
	json *root;
	struct arena *_cleanup_arena_ arena = arena_new(0);
	lookup->found =
	        arena != NULL &&
	        json_parse(arena, piece->text, piece->length, 0, &root, NULL) != JSON_INVALID &&
	        json_string_is(json_find(root, "metadata", "uid", NULL), lookup->uid);
	return true;
}

/* A pod's annotations and managedFields may be some 100 KiB. */
bool pod_lookup_found(const struct kube_response *response, const char *uid)
{
	struct json_stream stream;
	struct error error;
	char storage[512];
	struct lookup lookup = {.uid = uid};
	return json_stream_init(&stream, object, 0, storage, sizeof storage, &error) &&
	       json_stream_feed(&stream, buffer_text(&response->body), response->body.length, take,
	                        &lookup, &error) &&
	       lookup.found;
}
