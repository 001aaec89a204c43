#include "observer/pod/pod_reader.h"

#include <stdlib.h>
#include <string.h>

#include "observer/pod/pod_filter.h"

/* The filter is for events of a watch: the pod becomes one. */
static const char event_begin[] = "{\"type\":\"MODIFIED\",\"object\":";
static const char event_end[] = "}";

static void release(struct pod_reader *reader)
{
	free(reader->storage);
	free(reader->kept);
	reader->storage = NULL;
	reader->kept = NULL;
	reader->request = NULL;
}

static bool take(void *context, const struct json_piece *piece)
{
	struct pod_reader *reader = context;
	free(reader->kept);
	reader->kept = strdup(piece->text);
	return reader->kept != NULL;
}

static bool feed(struct pod_reader *reader, const char *bytes, size_t length)
{
	struct error error;
	return json_stream_feed(&reader->stream, bytes, length, take, reader, &error);
}

static bool receive(void *context, const char *bytes, size_t length)
{
	return feed(context, bytes, length);
}

static void finished(void *context, struct kube_response *response, const struct error *error)
{
	struct pod_reader *reader = context;
	json *event = NULL;
	struct arena *_cleanup_arena_ arena = arena_new(POD_FILTER_ARENA);
	if (error == NULL)
		feed(reader, event_end, sizeof event_end - 1);
	if (arena == NULL || reader->kept == NULL ||
	    json_parse(arena, reader->kept, strlen(reader->kept), 0, &event, NULL) == JSON_INVALID)
		event = NULL;
	release(reader);
	reader->done(reader->context, response, error, arena, json_get(event, "object"));
}

bool pod_reader_start(struct pod_reader *reader, const char *namespace, const char *name,
                      pod_reader_done *done, void *context)
{
	struct error error;
	reader->storage = malloc(POD_FILTER_STORAGE);
	if (reader->storage == NULL ||
	    !json_stream_init(&reader->stream, pod_watch_filter, POD_FILTER_EXTRA_MAX,
	                      reader->storage, POD_FILTER_STORAGE, &error) ||
	    !feed(reader, event_begin, sizeof event_begin - 1)) {
		release(reader);
		return false;
	}
	const struct request request = {
	        .kube = {.path = request_path("/api/v1/namespaces/%s/pods/%s", namespace, name)},
	        .receive = receive,
	        .finish = finished,
	        .context = reader,
	};
	reader->done = done;
	reader->context = context;
	reader->request = event_loop_add_request(reader->loop, &request);
	if (reader->request == NULL)
		release(reader);
	return reader->request != NULL;
}

void pod_reader_cancel(struct pod_reader *reader)
{
	if (reader->request == NULL)
		return;
	event_loop_cancel_request(reader->loop, reader->request);
	release(reader);
}
