/*
 * Replays a recorded watch stream to observers, in one process and without a socket: this is the
 * API server, the network and the clock behind observer/base/event_loop.h. The same seed gives the
 * same run.
 *
 *   replay_driver [--webhook-config FILE] STREAM LINES [MODE…]
 *
 * FILE: the observer's --webhook-config. STREAM: watch events, one a line; with "time"
 * (milliseconds after START) they happen no sooner. LINES: what watchdogs print, objects {"at":
 * index of the event with which it is there, "namespace", "pod", "line"}, one a line; with
 * "container" and "run" (0, 1, …) what that container prints; may be empty. MODE:
 *
 *   once             the whole stream in no time; prints the records, one a line
 *   slow SECONDS     the same with so much time between two events, and an hour at the end
 *   events SECONDS   the same, but prints the Events
 *
 *   cut N            for every event (N 0: every fifth), N of these in turn: after it the watch
 *                    ends with an ERROR object of code 410, with HTTP 410 at the next watch, with
 *                    a reset, with half a line and a reset
 *
 *   half-open        for every tenth event: the connection is there and silent after it
 *
 *   kill N           N runs in which observers are killed and started again at random moments:
 *                    after events, and where those have times also when timers are due
 *
 *   replicas N       N runs with two, of which one is killed at random moments
 *
 *   leader N         N runs with two, of which the leader is killed once, at a random moment
 *
 *   unnotified       the observer is killed as soon as a record is written, before anything is sent
 *                    about it, and started again when the stream is over
 *
 *   clock N          N runs with two, whose machines' clocks jump by an hour, and back
 *
 *   trouble N        N runs in which the server responds with 429, 500, 503 or not at all; then it
 *                    may have done what a POST or PATCH wanted
 *
 * After `once` every run must give the same records; what does not is printed. Exit 1 then.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/document/json.h"
#include "lib/base/log.h"
#include "lib/base/timestamp.h"
#include "observer/observer.h"

#define START      INT64_C(1795459075000000000) /* 2026-11-23T18:37:55Z */
#define REST       (300 * SECOND) /* after the last event: every timer that matters is due */
#define PAGE       7
#define EVENTS_MAX 4096
#define PODS_MAX   256
#define ITEMS_MAX  8192
#define REPLICAS   2

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "%s\n", what);
	exit(2);
}

/* ---- What is replayed ---- */

struct event {
	char *text; /* the line */
	char *type;
	char *object; /* as text */
	char *namespace;
	char *name;
	char *uid;
	char *version;
	bool remains; /* DELETED for the watch alone: the pod lost its label */
	int64_t time; /* when it happens, after START; -1: when the run comes to it */
};

struct printed_line {
	size_t at;
	char *namespace;
	char *pod;
	char *container; /* whose log it is in; "": the watchdog's */
	int64_t run;     /* of that container */
	char *text;
};

static const char *config; /* NULL: none */
static struct event events[EVENTS_MAX];
static size_t event_count;
static bool timed; /* the events have times */
static struct printed_line log_lines[EVENTS_MAX];
static size_t log_line_count;

static char *copy(const char *text)
{
	char *result = strdup(text == NULL ? "" : text);
	check(result != NULL, "no memory");
	return result;
}

static void for_lines(const char *path, void (*take)(const char *line, size_t length))
{
	FILE *file = fopen(path, "r");
	check(file != NULL, path);
	char *line = NULL;
	size_t size = 0;
	ssize_t length;
	while ((length = getline(&line, &size, file)) > 0) {
		if (line[length - 1] == '\n')
			line[--length] = '\0';
		take(line, (size_t)length);
	}
	free(line);
	fclose(file);
}

static void take_event(const char *line, size_t length)
{
	struct arena *arena = arena_new((size_t)64 << 20);
	json *root;
	int64_t milliseconds;
	check(event_count < EVENTS_MAX && json_parse(arena, line, length, JSON_KEEP_NUMBERS, &root,
	                                             NULL) == JSON_FAITHFUL,
	      "an event is no JSON");
	const json *object = json_get(root, "object");
	const json *metadata = json_get(object, "metadata");
	struct buffer text;
	buffer_init(&text, (size_t)16 << 20);
	json_print(&text, object, 0);
	timed = timed || json_is_number(json_get(root, "time"));
	events[event_count++] = (struct event){
	        .text = copy(line),
	        .type = copy(json_get_string(root, "type")),
	        .object = buffer_steal(&text),
	        .namespace = copy(json_get_string(metadata, "namespace")),
	        .name = copy(json_get_string(metadata, "name")),
	        .uid = copy(json_get_string(metadata, "uid")),
	        .version = copy(json_get_string(metadata, "resourceVersion")),
	        .remains = json_is_true(json_get(root, "remains")),
	        .time = json_integer(json_get(root, "time"), &milliseconds)
	                        ? milliseconds * MILLISECOND
	                        : -1,
	};
	arena_free(arena);
}

static void take_log_line(const char *line, size_t length)
{
	struct arena *arena = arena_new(0);
	json *root;
	int64_t at = 0;
	int64_t run = 0;
	check(json_parse(arena, line, length, 0, &root, NULL) == JSON_FAITHFUL &&
	              json_integer(json_get(root, "at"), &at),
	      "a watchdog's line is no JSON");
	json_integer(json_get(root, "run"), &run);
	log_lines[log_line_count++] = (struct printed_line){
	        .at = (size_t)at,
	        .namespace = copy(json_get_string(root, "namespace")),
	        .pod = copy(json_get_string(root, "pod")),
	        .container = copy(json_get_string(root, "container")),
	        .run = run,
	        .text = copy(json_get_string(root, "line")),
	};
	arena_free(arena);
}

/* ---- The server ---- */

enum member { NOTIFICATIONS, CONDITIONS, RESOLVED_AT, MEMBERS };

static const char *const member_names[MEMBERS] = {"notifications", "conditions", "resolvedAt"};

struct item {
	char *path;
	char *body;
	char *status[MEMBERS]; /* as it was patched last; NULL: never */
	unsigned version;
	unsigned resolutions; /* how often it was resolved */
	char created_at[TIMESTAMP_SIZE];
};

enum trouble { NO_TROUBLE, GONE_IN_STREAM, GONE_AT_WATCH, RESET, HALF_LINE, HALF_OPEN };

struct stream {
	struct request *request;
	bool watch;
	size_t at; /* the next event, or line */
	char namespace[64];
	char pod[256];
	char container[64]; /* "": the watchdog */
	int64_t run;
	bool silent;
	int64_t heard_at;
};

struct replica {
	struct observer observer;
	bool alive;
	struct stream streams[64];
	size_t stream_count;
};

static struct {
	uint64_t random;
	int64_t now;
	int64_t ahead;  /* how far the observers' machines are ahead of the server */
	size_t applied; /* events that have happened */
	struct item items[ITEMS_MAX];
	size_t item_count;
	char *lease;
	unsigned lease_version;
	struct replica replicas[REPLICAS];
	enum trouble trouble; /* of the watch after `cut` events */
	size_t cut;
	bool cut_done;
	bool flaky;
	bool want_events;
	bool want_times; /* of conditions */
	unsigned started;
} world;

static uint64_t chance(void)
{
	world.random += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t z = world.random;
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* In pieces of any size. */
static bool receive(struct request *request, const char *text, size_t length)
{
	while (length > 0) {
		size_t piece = 1 + (size_t)(chance() % 4000);
		piece = piece < length ? piece : length;
		if (!event_loop_receive(request, text, piece))
			return false;
		text += piece;
		length -= piece;
	}
	return true;
}

static void respond(struct replica *replica, struct request *request, long status,
                    const char *reason, const char *body)
{
	struct kube_response _cleanup_kube_response_ reply;
	struct error error;
	kube_response_init(&reply);
	reply.body.limit = (size_t)64 << 20;
	reply.status = status;
	wall_clock_take_date(&replica->observer.loop.wall_clock, world.now, world.now,
	                     START + world.now - world.now % SECOND);
	snprintf(reply.reason, sizeof reply.reason, "%s", reason);
	if (request->receive == NULL || status / 100 != 2)
		buffer_append_text(&reply.body, body);
	else if (!receive(request, body, strlen(body)))
		reply.status = 0;
	error_set(&error, "status %ld %s", status, reason);
	event_loop_finish_request(&replica->observer.loop, request, &reply,
	                          reply.status / 100 == 2 ? NULL : &error);
}

static struct item *find_item(const char *path)
{
	for (size_t i = 0; i < world.item_count; i++)
		if (strcmp(world.items[i].path, path) == 0)
			return &world.items[i];
	return NULL;
}

static void add_item(const char *path, const char *body)
{
	check(world.item_count < ITEMS_MAX, "too many items");
	struct item *item = &world.items[world.item_count++];
	*item = (struct item){.path = copy(path), .body = copy(body), .version = 1};
	timestamp_print(START + world.now, item->created_at);
}

/* POST: the path of a new item is the collection's and its name. */
static void create(struct replica *replica, struct request *request)
{
	struct arena *arena = arena_new((size_t)4 << 20);
	json *root;
	char path[1024];
	check(json_parse(arena, request->kube.body, request->kube.body_length, 0, &root, NULL) ==
	              JSON_FAITHFUL,
	      "a body is no JSON");
	snprintf(path, sizeof path, "%s/%s", request->kube.path,
	         json_get_string_or(json_get(root, "metadata"), "name", "?"));
	arena_free(arena);
	if (find_item(path) != NULL) {
		respond(replica, request, 409, "AlreadyExists", "{}");
		return;
	}
	add_item(path, request->kube.body);
	respond(replica, request, 201, "", request->kube.body);
}

/* The object as it is stored: body, resourceVersion, status. */
static void append_item(struct buffer *out, const struct item *item)
{
	static const char metadata[] = "\"metadata\":{";
	const char *at = strstr(item->body, metadata);
	check(at != NULL, "a body without metadata");
	size_t length = (size_t)(at - item->body) + strlen(metadata);
	buffer_append(out, item->body, length);
	buffer_printf(out, "\"resourceVersion\":\"%u\",", item->version);
	buffer_printf(out, "\"creationTimestamp\":\"%s\",", item->created_at);
	buffer_append(out, item->body + length, strlen(item->body) - length - 1);
	buffer_append_text(out, ",\"status\":{");
	const char *comma = "";
	for (size_t i = 0; i < MEMBERS; i++) {
		if (item->status[i] == NULL)
			continue;
		buffer_printf(out, "%s\"%s\":%s", comma, member_names[i], item->status[i]);
		comma = ",";
	}
	buffer_append_text(out, "}}");
}

static void get_item(struct replica *replica, struct request *request)
{
	const struct item *item = find_item(request->kube.path);
	struct buffer body;
	if (item == NULL) {
		respond(replica, request, 404, "NotFound", "{}");
		return;
	}
	buffer_init(&body, (size_t)4 << 20);
	append_item(&body, item);
	respond(replica, request, 200, "", buffer_text(&body));
	buffer_free(&body);
}

static void merge_status(struct item *item, const json *status)
{
	for (size_t i = 0; i < MEMBERS; i++) {
		const json *value = json_get(status, member_names[i]);
		struct buffer text;
		if (value == NULL)
			continue;
		buffer_init(&text, (size_t)1 << 20);
		json_print(&text, value, 0);
		free(item->status[i]);
		item->status[i] = buffer_steal(&text);
		item->resolutions += i == RESOLVED_AT;
	}
	item->version++;
}

/* False: the record has changed since the version that the patch names. */
static bool patch_record(const struct request *request)
{
	char path[1024];
	json *root;
	struct arena *arena = arena_new((size_t)4 << 20);
	snprintf(path, sizeof path, "%.*s", (int)(strlen(request->kube.path) - strlen("/status")),
	         request->kube.path);
	struct item *item = find_item(path);
	check(item != NULL, "the status of a record that is not there");
	check(json_parse(arena, request->kube.body, request->kube.body_length, 0, &root, NULL) ==
	              JSON_FAITHFUL,
	      "a patch is no JSON");
	const char *version = json_get_string(json_get(root, "metadata"), "resourceVersion");
	bool current = version == NULL || (unsigned)atoi(version) == item->version;
	if (current)
		merge_status(item, json_get(root, "status"));
	arena_free(arena);
	return current;
}

static void patch_status(struct replica *replica, struct request *request)
{
	if (patch_record(request))
		respond(replica, request, 200, "", "{}");
	else
		respond(replica, request, 409, "Conflict", "{}");
}

/* Those of the label that the path selects, or all; in pages of three. */
static void list_items(struct replica *replica, struct request *request)
{
	static const char selector[] = "labelSelector=lastword.dev%2Fidentity%3D";
	char label[128] = "";
	char namespace[64] = "";
	const char *selected = strstr(request->kube.path, selector);
	const char *token = strstr(request->kube.path, "&continue=");
	size_t i = token == NULL ? 0 : (size_t)atoi(token + strlen("&continue="));
	struct buffer items;
	struct buffer body;
	if (selected != NULL)
		snprintf(label, sizeof label, "\"lastword.dev/identity\":\"%.16s\"",
		         selected + strlen(selector));
	sscanf(request->kube.path, "/apis/lastword.dev/v1alpha1/namespaces/%63[^/]", namespace);
	buffer_init(&items, (size_t)64 << 20);
	for (size_t count = 0; i < world.item_count && count < 3; i++) {
		const struct item *item = &world.items[i];
		if (strstr(item->path, "/agentexits/") == NULL ||
		    (selected != NULL && strstr(item->body, label) == NULL) ||
		    (namespace[0] != '\0' && strstr(item->path, namespace) == NULL))
			continue;
		buffer_append_text(&items, count++ == 0 ? "" : ",");
		append_item(&items, item);
	}
	buffer_init(&body, (size_t)64 << 20);
	buffer_append_text(&body, "{\"metadata\":{\"continue\":\"");
	if (i < world.item_count)
		buffer_printf(&body, "%zu", i);
	buffer_printf(&body, "\"},\"items\":[%s]}", buffer_text(&items));
	respond(replica, request, 200, "", buffer_text(&body));
	buffer_free(&items);
	buffer_free(&body);
}

static void lease(struct replica *replica, struct request *request)
{
	char body[4096];
	char version[64];
	bool get = request->kube.method == NULL;
	if (get && world.lease == NULL) {
		respond(replica, request, 404, "NotFound", "{}");
		return;
	}
	snprintf(version, sizeof version, "\"resourceVersion\":\"%u\"", world.lease_version);
	if (!get && world.lease != NULL && strstr(request->kube.body, version) == NULL) {
		respond(replica, request, 409, "Conflict", "{}");
		return;
	}
	if (!get) {
		const char *spec = strstr(request->kube.body, "\"spec\":");
		free(world.lease);
		world.lease = copy(spec);
		world.lease_version++;
	}
	snprintf(body, sizeof body, "{\"metadata\":{\"resourceVersion\":\"%u\"},%s",
	         world.lease_version, world.lease);
	respond(replica, request, 200, "", body);
}

/* The last event about each pod that is there now, in the order of their first ones. */
static size_t present(const struct event *ret_events[PODS_MAX])
{
	size_t count = 0;
	for (size_t i = 0; i < world.applied; i++) {
		size_t at = 0;
		if (strcmp(events[i].type, "BOOKMARK") == 0)
			continue;
		while (at < count && strcmp(ret_events[at]->uid, events[i].uid) != 0)
			at++;
		if (at == count)
			count++;
		ret_events[at] = &events[i];
		if (strcmp(events[i].type, "DELETED") == 0) {
			for (size_t j = at; j + 1 < count; j++)
				ret_events[j] = ret_events[j + 1];
			count--;
		}
	}
	return count;
}

static void list_pods(struct replica *replica, struct request *request)
{
	const struct event *pods[PODS_MAX];
	size_t count = present(pods);
	const char *token = strstr(request->kube.path, "&continue=");
	size_t from = token == NULL ? 0 : (size_t)atoi(token + strlen("&continue="));
	struct buffer body;
	buffer_init(&body, (size_t)64 << 20);
	/* Versions are events' places: no object needs to have one. */
	buffer_printf(&body, "{\"metadata\":{\"resourceVersion\":\"%zu\"", world.applied + 1);
	if (from + PAGE < count)
		buffer_printf(&body, ",\"continue\":\"%zu\"", from + PAGE);
	buffer_append_text(&body, "},\"items\":[");
	for (size_t i = from; i < count && i < from + PAGE; i++)
		buffer_printf(&body, "%s%s", i == from ? "" : ",", pods[i]->object);
	buffer_append_text(&body, "]}");
	respond(replica, request, 200, "", buffer_text(&body));
	buffer_free(&body);
}

/* The event that a watch from this version begins with: a list's, or an object's. */
static size_t place_of(const char *version)
{
	for (size_t i = event_count; i > 0; i--)
		if (strcmp(events[i - 1].version, version) == 0)
			return i;
	return (size_t)atoi(version) - 1;
}

static bool pod_exists(const char *namespace, const char *name)
{
	const struct event *pods[PODS_MAX];
	size_t count = present(pods);
	for (size_t i = 0; i < count; i++)
		if (strcmp(pods[i]->name, name) == 0 && strcmp(pods[i]->namespace, namespace) == 0)
			return true;
	return false;
}

static void get_pod(struct replica *replica, struct request *request)
{
	const struct event *last = NULL;
	char namespace[64] = "";
	char pod[256] = "";
	sscanf(request->kube.path, "/api/v1/namespaces/%63[^/]/pods/%255[^/]", namespace, pod);
	for (size_t i = 0; i < world.applied; i++) {
		const struct event *event = &events[i];
		if (strcmp(event->name, pod) != 0 || strcmp(event->namespace, namespace) != 0)
			continue;
		if (strcmp(event->type, "DELETED") != 0 || event->remains)
			last = event;
		else if (last != NULL && strcmp(last->uid, event->uid) == 0)
			last = NULL;
	}
	if (last == NULL)
		respond(replica, request, 404, "NotFound", "{}");
	else if (request->receive == NULL)
		respond(replica, request, 200, "", last->object);
	else {
		event_loop_receive(request, last->object, strlen(last->object));
		respond(replica, request, 200, "", "");
	}
}

static void open_stream(struct replica *replica, struct request *request, size_t at)
{
	check(replica->stream_count < 64, "too many streams");
	struct stream *stream = &replica->streams[replica->stream_count++];
	*stream = (struct stream){.request = request,
	                          .watch = strstr(request->kube.path, "&watch=1") != NULL,
	                          .at = at,
	                          .heard_at = world.now};
	sscanf(request->kube.path, "/api/v1/namespaces/%63[^/]/pods/%255[^/]/", stream->namespace,
	       stream->pod);
}

/* What the last event says about a container. */
struct container_state {
	int64_t run;
	bool terminated;
	bool waiting;  /* for its next start: lastState still is of that run */
	bool deleting; /* its pod is */
};

static struct container_state state_of(const char *namespace, const char *pod,
                                       const char *container)
{
	struct container_state state = {.run = 0};
	const struct event *pods[PODS_MAX];
	const struct event *event = NULL;
	size_t count = present(pods);
	for (size_t i = 0; i < count; i++)
		if (strcmp(pods[i]->name, pod) == 0 && strcmp(pods[i]->namespace, namespace) == 0)
			event = pods[i];
	struct arena *arena = arena_new((size_t)16 << 20);
	json *root;
	check(event != NULL && json_parse(arena, event->object, strlen(event->object), 0, &root,
	                                  NULL) == JSON_FAITHFUL,
	      "no such pod");
	state.deleting = json_find(root, "metadata", "deletionTimestamp", NULL) != NULL;
	const json *statuses = json_find(root, "status", "containerStatuses", NULL);
	for (const json *n = json_first(statuses); n != NULL; n = json_next(n)) {
		if (!json_string_is(json_get(n, "name"), container))
			continue;
		json_integer(json_get(n, "restartCount"), &state.run);
		state.terminated = json_find(n, "state", "terminated", NULL) != NULL;
		state.waiting = json_find(n, "state", "waiting", NULL) != NULL;
	}
	arena_free(arena);
	return state;
}

static bool is_in_log(const struct printed_line *line, const char *namespace, const char *pod,
                      const char *container, int64_t run)
{
	return strcmp(line->pod, pod) == 0 && strcmp(line->namespace, namespace) == 0 &&
	       strcmp(line->container, container) == 0 &&
	       (line->container[0] == '\0' || line->run == run);
}

/* A container's log is gone as soon as a deleted pod's final object is there. */
static const char *log_trouble(const char *container, const struct container_state *state)
{
	if (container[0] == '\0')
		return NULL;
	for (size_t i = 0; i < log_line_count; i++)
		if (log_lines[i].container[0] != '\0')
			return state->deleting && state->terminated
			               ? "failed to try resolving symlinks in path "
			                 "\"/var/log/pods/a/main/0.log\": no such file or directory"
			               : NULL;
	return "unable to retrieve container logs for containerd://x";
}

static void send_log(struct replica *replica, struct request *request)
{
	char namespace[64] = "";
	char pod[256] = "";
	char container[64] = "";
	struct container_state state = {.run = 0};
	sscanf(request->kube.path, "/api/v1/namespaces/%63[^/]/pods/%255[^/]/log?container=%63[^&]",
	       namespace, pod, container);
	if (!pod_exists(namespace, pod)) {
		respond(replica, request, 404, "NotFound", "{}");
		return;
	}
	if (strcmp(container, "lastword-watchdog") == 0)
		container[0] = '\0';
	else
		state = state_of(namespace, pod, container);
	const char *trouble = log_trouble(container, &state);
	if (trouble != NULL) {
		event_loop_receive(request, trouble, strlen(trouble));
		respond(replica, request, 200, "", "");
		return;
	}
	if (strstr(request->kube.path, "&follow=true") != NULL) {
		open_stream(replica, request, 0);
		struct stream *stream = &replica->streams[replica->stream_count - 1];
		snprintf(stream->container, sizeof stream->container, "%s", container);
		stream->run = state.run;
		return;
	}
	/* previous is the container of lastState (Kubernetes: validateContainerLogStatus). */
	state.run -= strstr(request->kube.path, "&previous=true") != NULL && !state.waiting;
	for (size_t i = 0; i < log_line_count; i++) {
		const struct printed_line *line = &log_lines[i];
		if (line->at >= world.applied ||
		    !is_in_log(line, namespace, pod, container, state.run))
			continue;
		event_loop_receive(request, line->text, strlen(line->text));
		event_loop_receive(request, "\n", 1);
	}
	respond(replica, request, 200, "", "");
}

/* Every namespace is opted in, and nothing changes about that. */
static void list_namespaces(struct replica *replica, struct request *request)
{
	struct buffer body;
	buffer_init(&body, (size_t)64 << 20);
	buffer_append_text(&body, "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[");
	bool first = true;
	for (size_t i = 0; i < event_count; i++) {
		if (events[i].namespace[0] == '\0')
			continue;
		buffer_printf(&body, "%s{\"metadata\":{\"name\":\"%s\"}}", first ? "" : ",",
		              events[i].namespace);
		first = false;
	}
	buffer_append_text(&body, "]}");
	respond(replica, request, 200, "", buffer_text(&body));
	buffer_free(&body);
}

static void serve(struct replica *replica, struct request *request)
{
	const char *path = request->kube.path;
	const char *method = request->kube.method == NULL ? "GET" : request->kube.method;
	const char *version = strstr(path, "&resourceVersion=");
	bool trouble = world.flaky && chance() % 4 == 0;
	if (trouble && strstr(path, "/leases") == NULL) {
		static const long codes[] = {0, 429, 500, 503};
		long code = codes[chance() % 4];
		/* It may have been done, and the response lost. */
		if (code == 0 && strcmp(method, "PATCH") == 0 && chance() % 2 == 0)
			patch_record(request);
		if (code == 0 && strcmp(method, "POST") == 0 && chance() % 2 == 0) {
			struct arena *arena = arena_new((size_t)4 << 20);
			json *root;
			char item[1024];
			json_parse(arena, request->kube.body, request->kube.body_length, 0, &root,
			           NULL);
			snprintf(item, sizeof item, "%s/%s", path,
			         json_get_string_or(json_get(root, "metadata"), "name", "?"));
			if (find_item(item) == NULL)
				add_item(item, request->kube.body);
			arena_free(arena);
		}
		respond(replica, request, code, "Trouble", "{}");
	} else if (strstr(path, "/leases") != NULL) {
		lease(replica, request);
	} else if (strncmp(path, "/api/v1/namespaces?", 19) == 0 && version == NULL) {
		list_namespaces(replica, request);
	} else if (strncmp(path, "/api/v1/namespaces?", 19) == 0) {
		open_stream(replica, request, event_count);
		replica->streams[replica->stream_count - 1].silent = true;
	} else if (strncmp(path, "/api/v1/pods?", 13) == 0 && version == NULL) {
		list_pods(replica, request);
	} else if (strncmp(path, "/api/v1/pods?", 13) == 0) {
		char text[64] = "";
		sscanf(version, "&resourceVersion=%63[^&]", text);
		if (world.trouble == GONE_AT_WATCH && world.applied >= world.cut &&
		    !world.cut_done) {
			world.cut_done = true;
			respond(replica, request, 410, "Expired", "{}");
			return;
		}
		open_stream(replica, request, place_of(text));
	} else if (strstr(path, "/log?") != NULL) {
		send_log(replica, request);
	} else if (strcmp(method, "POST") == 0) {
		create(replica, request);
	} else if (strcmp(method, "PATCH") == 0) {
		patch_status(replica, request);
	} else if (strcmp(method, "GET") == 0 && strstr(path, "/agentexits/") != NULL) {
		get_item(replica, request);
	} else if (strcmp(method, "GET") == 0 && strstr(path, "/pods/") != NULL) {
		get_pod(replica, request);
	} else if (strcmp(method, "GET") == 0 && strstr(path, "/agentexits?") != NULL) {
		list_items(replica, request);
	} else {
		check(false, path);
	}
}

/* ---- Streams ---- */

static void close_stream(struct replica *replica, size_t index, long status)
{
	struct request *request = replica->streams[index].request;
	replica->streams[index] = replica->streams[--replica->stream_count];
	respond(replica, request, status, "", "");
}

static bool deliver(struct stream *stream, const char *text, size_t length)
{
	stream->heard_at = world.now;
	return receive(stream->request, text, length);
}

static bool make_trouble(struct replica *replica, size_t index)
{
	static const char expired[] =
	        "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\","
	        "\"status\":\"Failure\",\"reason\":\"Expired\",\"code\":410}}\n";
	struct stream *stream = &replica->streams[index];
	const struct event *next = &events[stream->at];
	if (world.cut_done || stream->at != world.cut || world.trouble == NO_TROUBLE)
		return false;
	world.cut_done = world.trouble != GONE_AT_WATCH;
	switch (world.trouble) {
	case GONE_IN_STREAM:
		deliver(stream, expired, sizeof expired - 1);
		close_stream(replica, index, 200);
		break;
	case HALF_LINE:
		if (stream->at < event_count)
			deliver(stream, next->text, strlen(next->text) / 2);
		close_stream(replica, index, 0);
		break;
	case HALF_OPEN:
		stream->silent = true;
		break;
	default:
		close_stream(replica, index, 0);
	}
	return true;
}

static bool move_watch(struct replica *replica, size_t index)
{
	struct stream *stream = &replica->streams[index];
	if (stream->silent || stream->at >= world.applied)
		return false;
	if (make_trouble(replica, index))
		return true;
	const struct event *event = &events[stream->at++];
	if (!deliver(stream, event->text, strlen(event->text)) || !deliver(stream, "\n", 1))
		close_stream(replica, index, 0);
	return true;
}

static bool move_follow(struct replica *replica, size_t index)
{
	struct stream *stream = &replica->streams[index];
	for (; stream->at < log_line_count; stream->at++) {
		const struct printed_line *line = &log_lines[stream->at];
		if (!is_in_log(line, stream->namespace, stream->pod, stream->container,
		               stream->run))
			continue;
		if (line->at >= world.applied)
			break;
		deliver(stream, line->text, strlen(line->text));
		deliver(stream, "\n", 1);
	}
	bool exists = pod_exists(stream->namespace, stream->pod);
	if (exists && (stream->container[0] == '\0' ||
	               !state_of(stream->namespace, stream->pod, stream->container).terminated))
		return false;
	close_stream(replica, index, 200);
	return true;
}

static bool move_streams(struct replica *replica)
{
	for (size_t i = 0; i < replica->stream_count; i++) {
		struct stream *stream = &replica->streams[i];
		if (stream->request->kube.idle_timeout > 0 &&
		    world.now - stream->heard_at >= stream->request->kube.idle_timeout) {
			close_stream(replica, i, 0);
			return true;
		}
		if (stream->watch ? move_watch(replica, i) : move_follow(replica, i))
			return true;
	}
	return false;
}

static void on_drop(void *transport, struct request *request)
{
	struct replica *replica = transport;
	for (size_t i = 0; i < replica->stream_count; i++)
		if (replica->streams[i].request == request)
			replica->streams[i--] = replica->streams[--replica->stream_count];
}

/* ---- Time ---- */

static void start(struct replica *replica)
{
	static const char *const names[REPLICAS] = {"a", "b"};
	struct observer_options options = observer_defaults;
	struct error error;
	options.identity = names[replica - world.replicas];
	options.webhook_config = config;
	options.seed = chance();
	check(observer_init(&replica->observer, &options, world.now,
	                    START + world.now + world.ahead, &error),
	      "no observer");
	replica->observer.loop.cancel = on_drop;
	replica->observer.loop.transport = replica;
	replica->stream_count = 0;
	replica->alive = true;
	observer_start(&replica->observer);
	world.started++;
}

static void kill_replica(struct replica *replica)
{
	if (!replica->alive)
		return;
	observer_free(&replica->observer);
	replica->alive = false;
}

/* Something that can happen without time passing; false: nothing can. */
static bool move(void)
{
	bool any = false;
	size_t first = (size_t)(chance() % REPLICAS);
	for (size_t i = 0; i < REPLICAS; i++) {
		struct replica *replica = &world.replicas[(i + first) % REPLICAS];
		if (!replica->alive)
			continue;
		observer_advance(&replica->observer, world.now,
		                 wall_clock_read(&replica->observer.loop.wall_clock, world.now,
		                                 START + world.now + world.ahead));
		struct request *request = event_loop_next_request(&replica->observer.loop);
		if (request != NULL)
			serve(replica, request);
		any = request != NULL || move_streams(replica) || any;
		any = any || event_loop_next_timer(&replica->observer.loop) <= world.now;
	}
	return any;
}

static void settle(void)
{
	while (move())
		continue;
}

static int64_t next_time(void)
{
	int64_t next = INT64_MAX;
	for (size_t i = 0; i < REPLICAS; i++) {
		struct replica *replica = &world.replicas[i];
		if (!replica->alive)
			continue;
		int64_t due = event_loop_next_timer(&replica->observer.loop);
		next = due < next ? due : next;
		for (size_t s = 0; s < replica->stream_count; s++) {
			const struct stream *stream = &replica->streams[s];
			int64_t dead = stream->heard_at + stream->request->kube.idle_timeout;
			if (stream->request->kube.idle_timeout > 0)
				next = dead < next ? dead : next;
		}
	}
	return next;
}

static void pass_time(int64_t until)
{
	settle();
	for (int64_t next = next_time(); next <= until; next = next_time()) {
		world.now = next;
		settle();
	}
	world.now = until;
	settle();
}

/* The next event happens, when it is its time. */
static void apply_next(void)
{
	if (events[world.applied].time > world.now)
		pass_time(events[world.applied].time);
	world.applied++;
}

/* So much time passes, unless the next event happens before. */
static void pass_some_time(int64_t length)
{
	int64_t until = world.now + length;
	if (world.applied < event_count && events[world.applied].time >= 0)
		until = clock_earlier(until, events[world.applied].time);
	if (until > world.now)
		pass_time(until);
}

/* ---- Runs ---- */

static void begin(uint64_t seed)
{
	world.random = seed;
	world.now = SECOND;
	world.ahead = 0;
	world.applied = 0;
	world.lease_version = 1;
	world.trouble = NO_TROUBLE;
	world.cut = 0;
	world.cut_done = world.flaky = false;
	world.started = 0;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The record and what became of it; in a run that is compared with others without times that may
 * differ, and without all that where events have no times, since then nothing lasts as it did. */
static char *record_line(const struct item *item)
{
	if (!timed && !world.want_times)
		return copy(item->body);
	struct arena *arena = arena_new((size_t)4 << 20);
	struct buffer out;
	json *status = json_new_object(arena);
	json *conditions = NULL;
	buffer_init(&out, (size_t)4 << 20);
	if (item->status[CONDITIONS] != NULL) {
		json_parse(arena, item->status[CONDITIONS], strlen(item->status[CONDITIONS]), 0,
		           &conditions, NULL);
		const char *silent = json_get_string(json_first(conditions), "status");
		json_add_member(arena, status, "silent", json_new_string(arena, silent));
	}
	if (world.want_times && conditions != NULL)
		json_add_member(arena, status, "conditions", conditions);
	if (item->status[RESOLVED_AT] != NULL) {
		json *resolved_at = NULL;
		json_parse(arena, item->status[RESOLVED_AT], strlen(item->status[RESOLVED_AT]), 0,
		           &resolved_at, NULL);
		json_add_member(arena, status, "resolvedAt",
		                world.want_times ? resolved_at : json_new_string(arena, "yes"));
	}
	buffer_append(&out, item->body, strlen(item->body) - 1);
	buffer_append_text(&out, ",\"status\":");
	json_print(&out, status, 0);
	buffer_append_text(&out, "}");
	arena_free(arena);
	return buffer_steal(&out);
}

/* All records (or Events), sorted, one a line. */
static char *records(void)
{
	const char *kind = world.want_events ? "/events/" : "/agentexits/";
	char *sorted[ITEMS_MAX];
	size_t count = 0;
	struct buffer out;
	buffer_init(&out, (size_t)64 << 20);
	for (size_t i = 0; i < world.item_count; i++) {
		const struct item *item = &world.items[i];
		if (strstr(item->path, kind) == NULL)
			continue;
		sorted[count++] = world.want_events ? copy(item->body) : record_line(item);
		if (item->status[NOTIFICATIONS] == NULL && !world.want_events)
			fprintf(stderr, "no status: %s\n", item->path);
		if (item->resolutions > 1)
			fprintf(stderr, "resolved again: %s\n", item->path);
	}
	qsort(sorted, count, sizeof sorted[0], compare_texts);
	for (size_t i = 0; i < count; i++) {
		buffer_printf(&out, "%s\n", sorted[i]);
		free(sorted[i]);
	}
	return buffer_steal(&out);
}

/* Every pod of which an agent is silent counts once in the gauge, and nothing else does. */
static bool is_gauge_right(const struct observer *observer)
{
	static const char name[] = "\nlastword_silent_pods{";
	int silent = 0;
	int sum = 0;
	bool right = true;
	struct buffer out;
	for (size_t i = 0; i < observer->tracker.cache.bucket_count; i++)
		for (const struct cached_pod *pod = observer->tracker.cache.buckets[i]; pod != NULL;
		     pod = pod->next)
			silent += pod->silent_agents > 0;
	buffer_init(&out, (size_t)64 << 20);
	observer_metrics_write(observer->metrics, &out);
	for (const char *at = buffer_text(&out); (at = strstr(at, name)) != NULL;) {
		at = strstr(at, "} ") + 2;
		right = right && atoi(at) > 0;
		sum += atoi(at);
	}
	buffer_free(&out);
	return right && sum == silent;
}

static char *finish(void)
{
	pass_time(world.now + REST);
	for (size_t i = 0; i < REPLICAS; i++) {
		struct replica *replica = &world.replicas[i];
		const struct observer *observer = &replica->observer;
		if (replica->alive && (observer->gatherer.count > 0 || observer->writer.count > 0))
			fprintf(stderr, "an observer is not done\n");
		if (replica->alive && !is_gauge_right(observer))
			fprintf(stderr, "the gauge of silent pods is wrong\n");
		kill_replica(replica);
	}
	char *result = records();
	for (size_t i = 0; i < world.item_count; i++) {
		free(world.items[i].path);
		free(world.items[i].body);
		for (size_t m = 0; m < MEMBERS; m++)
			free(world.items[i].status[m]);
	}
	world.item_count = 0;
	free(world.lease);
	world.lease = NULL;
	return result == NULL ? copy("") : result;
}

static char *run_once(uint64_t seed)
{
	begin(seed);
	start(&world.replicas[0]);
	pass_time(world.now + 10 * SECOND);
	/* No time passes but that of the events: nobody waits for anything but responses. */
	while (world.applied < event_count) {
		settle();
		apply_next();
	}
	return finish();
}

static char *run_slowly(unsigned seconds)
{
	begin(1);
	start(&world.replicas[0]);
	pass_time(world.now + 5 * SECOND);
	while (world.applied < event_count) {
		if (events[world.applied].time < 0)
			pass_time(world.now + seconds * SECOND);
		apply_next();
	}
	pass_time(world.now + 3600 * SECOND);
	return finish();
}

static char *run_cut(enum trouble trouble, size_t cut, uint64_t seed)
{
	begin(seed);
	world.trouble = trouble;
	world.cut = cut;
	start(&world.replicas[0]);
	pass_time(world.now + 5 * SECOND);
	while (world.applied <= cut) {
		settle();
		apply_next();
	}
	if (trouble == GONE_AT_WATCH) { /* the watch has to end for that */
		for (size_t i = 0; i < world.replicas[0].stream_count; i++)
			if (world.replicas[0].streams[i].watch)
				close_stream(&world.replicas[0], i--, 0);
	}
	/* The world waits until the observer is back, if its events have no times. */
	pass_some_time((trouble == HALF_OPEN ? 200 : 5) * SECOND);
	while (world.applied < event_count) {
		settle();
		apply_next();
	}
	return finish();
}

/* Killed at a random moment, also between a request and its response, with probability 1 in every.
 */
static void kill_somebody(unsigned every, bool one_stays)
{
	struct replica *victim = &world.replicas[chance() % REPLICAS];
	const struct replica *other = &world.replicas[victim == world.replicas];
	if (chance() % every != 0 || !victim->alive || (one_stays && !other->alive))
		return;
	for (uint64_t moves = chance() % 30; moves > 0; moves--)
		move();
	kill_replica(victim);
	if (one_stays)
		return;
	start(victim);
}

/* Until the next event (after the last one: for so long) somebody is killed at some of the moments
 * at which timers are due: amid the requests that they lead to. */
static void kill_between_events(unsigned replicas, int64_t rest)
{
	settle();
	int64_t until = world.now + rest;
	if (world.applied < event_count)
		until = events[world.applied].time;
	for (int64_t next = next_time(); next < until; next = next_time()) {
		world.now = next;
		kill_somebody(10, replicas > 1);
		settle();
		for (unsigned i = 0; i < replicas; i++)
			if (!world.replicas[i].alive && chance() % 4 == 0)
				start(&world.replicas[i]);
		settle();
	}
}

static char *run_killed(uint64_t seed, unsigned replicas)
{
	begin(seed);
	for (unsigned i = 0; i < replicas; i++)
		start(&world.replicas[i]);
	pass_time(world.now + 5 * SECOND);
	while (world.applied < event_count) {
		if (timed)
			kill_between_events(replicas, 0);
		apply_next();
		kill_somebody(3, replicas > 1);
		pass_some_time((int64_t)(chance() % 5) * SECOND);
		for (unsigned i = 0; i < replicas; i++)
			if (!world.replicas[i].alive && chance() % 4 == 0)
				start(&world.replicas[i]);
		settle();
	}
	if (timed)
		kill_between_events(replicas, 60 * SECOND);
	for (unsigned i = 0; timed && i < replicas; i++)
		if (!world.replicas[i].alive)
			start(&world.replicas[i]);
	return finish();
}

/* The leader is killed once, for good: the other replica has seen all that it has. */
static char *run_without_leader(uint64_t seed)
{
	begin(seed);
	for (unsigned i = 0; i < REPLICAS; i++)
		start(&world.replicas[i]);
	pass_time(world.now + 5 * SECOND);
	size_t last = 1 + (size_t)(chance() % event_count);
	while (world.applied < event_count) {
		bool killing = ++world.applied == last;
		for (uint64_t moves = killing ? chance() % 60 : 0; moves > 0; moves--)
			move();
		for (unsigned i = 0; killing && i < REPLICAS; i++)
			if (world.replicas[i].observer.writer.leader) {
				kill_replica(&world.replicas[i]);
				killing = false;
			}
		pass_time(world.now + (int64_t)(chance() % 3) * SECOND);
	}
	return finish();
}

static char *run_unnotified(void)
{
	struct replica *replica = &world.replicas[0];
	begin(1);
	start(replica);
	pass_time(world.now + 5 * SECOND);
	while (world.applied < event_count) {
		apply_next();
		while (replica->alive && move())
			if (world.item_count > 0)
				kill_replica(replica);
	}
	check(!replica->alive, "no record was written");
	start(replica);
	return finish();
}

/* The clock of the observers' machines is set forward or back by an hour, or right. */
static char *run_jumping(uint64_t seed)
{
	begin(seed);
	for (unsigned i = 0; i < REPLICAS; i++)
		start(&world.replicas[i]);
	pass_time(world.now + 5 * SECOND);
	while (world.applied < event_count) {
		if (chance() % 4 == 0)
			world.ahead = ((int64_t)(chance() % 3) - 1) * 3600 * SECOND;
		apply_next();
		pass_some_time((int64_t)(chance() % 3) * SECOND);
	}
	return finish();
}

static char *run_troubled(uint64_t seed)
{
	begin(seed);
	world.flaky = true;
	start(&world.replicas[0]);
	while (world.applied < event_count) {
		apply_next();
		pass_some_time((int64_t)(chance() % 3) * SECOND);
	}
	pass_time(world.now + 600 * SECOND);
	world.flaky = false;
	return finish();
}

/* ---- Judging ---- */

static const char *baseline;
static unsigned runs;
static unsigned wrong;

static void print_difference(const char *got)
{
	for (const char *line = baseline; *line != '\0'; line = strchr(line, '\n') + 1) {
		size_t length = strcspn(line, "\n");
		char *text = strndup(line, length);
		if (strstr(got, text) == NULL)
			fprintf(stderr, "  - %.1400s\n", text);
		free(text);
	}
	for (const char *line = got; *line != '\0'; line = strchr(line, '\n') + 1) {
		size_t length = strcspn(line, "\n");
		char *text = strndup(line, length);
		if (strstr(baseline, text) == NULL)
			fprintf(stderr, "  + %.1400s\n", text);
		free(text);
	}
}

static void judge(char *got, const char *mode, uint64_t number)
{
	runs++;
	if (strcmp(got, baseline) != 0) {
		fprintf(stderr, "%s %" PRIu64 ":\n", mode, number);
		print_difference(got);
		wrong++;
	}
	free(got);
}

static void run_cuts(unsigned count)
{
	size_t step = count == 0 ? 5 : 1;
	count = count == 0 ? 1 : count;
	for (size_t cut = 1; cut < event_count; cut += step) {
		for (unsigned i = 0; i < count; i++) {
			unsigned kind = (unsigned)(cut + i) % HALF_LINE;
			enum trouble trouble = (enum trouble)(GONE_IN_STREAM + (int)kind);
			judge(run_cut(trouble, cut, cut * 8 + kind), "cut", cut * 10 + kind);
		}
	}
}

static void run_mode(const char *mode, unsigned count)
{
	if (strcmp(mode, "cut") == 0) {
		run_cuts(count);
	} else if (strcmp(mode, "unnotified") == 0) {
		judge(run_unnotified(), mode, 1);
	} else if (strcmp(mode, "half-open") == 0) {
		for (size_t cut = 1; cut < event_count; cut += 10)
			judge(run_cut(HALF_OPEN, cut, cut), mode, cut);
	} else {
		for (unsigned i = 0; i < count; i++)
			judge(strcmp(mode, "kill") == 0       ? run_killed(i + 1, 1)
			      : strcmp(mode, "replicas") == 0 ? run_killed(i + 1, 2)
			      : strcmp(mode, "leader") == 0   ? run_without_leader(i + 1)
			      : strcmp(mode, "clock") == 0    ? run_jumping(i + 1)
			                                      : run_troubled(i + 1),
			      mode, i + 1);
	}
}

/* The modes that print; false: it is none. */
static bool print_mode(const char *mode, unsigned count)
{
	char *got = NULL;
	world.want_events = strcmp(mode, "events") == 0;
	world.want_times = true;
	if (strcmp(mode, "once") == 0)
		got = run_once(1);
	else if (strcmp(mode, "slow") == 0 || world.want_events)
		got = run_slowly(count);
	world.want_events = world.want_times = false;
	if (got != NULL)
		fputs(got, stdout);
	free(got);
	return got != NULL;
}

int main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "--webhook-config") == 0) {
		config = argv[2];
		argc -= 2;
		argv += 2;
	}
	check(argc > 2, "usage: replay_driver [--webhook-config FILE] STREAM LINES [MODE…]");
	log_set_level(LOG_ERROR);
	for_lines(argv[1], take_event);
	for_lines(argv[2], take_log_line);
	char *first = run_once(1);
	baseline = first;
	for (int i = 3; i < argc; i++) {
		bool counted = i + 1 < argc && argv[i + 1][0] >= '0' && argv[i + 1][0] <= '9';
		unsigned count = counted ? (unsigned)atoi(argv[i + 1]) : 1;
		if (!print_mode(argv[i], count))
			run_mode(argv[i], count);
		i += counted;
	}
	fprintf(stderr, "%u runs, %u differ\n", runs, wrong);
	for (size_t i = 0; i < event_count; i++) {
		free(events[i].text);
		free(events[i].type);
		free(events[i].object);
		free(events[i].namespace);
		free(events[i].name);
		free(events[i].uid);
		free(events[i].version);
	}
	for (size_t i = 0; i < log_line_count; i++) {
		free(log_lines[i].namespace);
		free(log_lines[i].pod);
		free(log_lines[i].container);
		free(log_lines[i].text);
	}
	free(first);
	return wrong > 0;
}
