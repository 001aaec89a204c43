/*
 * An API server that has many agent pods and lets them terminate, for measuring the observer.
 *
 *   api_server --cert FILE --key FILE [--pods N] [--terminations N] [--rate N] [--watches N]
 *              [--drop N] [--large N] [--many-args N] [--unwrapped PERCENT] [--slow N]
 *
 * Listens on 127.0.0.1, TLS, and prints {"port":N}. When --watches are open and the Lease is held,
 * pods end at --rate a second, in four ways:
 *
 *   NEVER    state.terminated, a sidecar lives on; a second later the pod is deleted
 *   RESTART  state.terminated, then running again with lastState
 *   DELETED  deletionTimestamp, 300 ms later the final object and DELETED
 *   UNSEEN   only lastState ever shows it
 *
 * Deleted pods are replaced at once. The watchdog's log has a report about every termination. Each
 * record that is posted is compared with the termination it is about. Every --drop events the watch
 * is broken off. Of the pods --large have an argument of 1,450,000 `<`, about what a real API
 * server takes at most, and --many-args have 700,000 empty ones.
 *
 * Of the pods --unwrapped percent have no watchdog. Their agents' own logs end with a line that
 * names pod and run; a record without it is counted (without_last_words). Of a pod that is deleted
 * the log is gone with the final object: what comes in its place is the kubelet's error. With
 * --slow the times above are N times as long.
 *
 * When all is recorded and notified, or nothing came for 60 s, prints one JSON object of figures:
 * what was expected, recorded, missing, posted again, wrong or unexpected; requests by kind; lag
 * from an end's being published to its record, in milliseconds; milliseconds from the first end to
 * the last record and notification; the record posted last. Exit 0 when nothing is missing or
 * wrong.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/kube/agent_exit.h"
#include "lib/base/buffer.h"
#include "lib/document/json.h"
#include "lib/base/json_write.h"
#include "lib/base/timestamp.h"

#define MILLISECOND  INT64_C(1000000)
#define SECOND       INT64_C(1000000000)
#define NAMESPACES   10
#define FINGERPRINTS 50
#define MESSAGE_MAX  ((size_t)2 * 1024 * 1024)
#define CHUNK_SIZE   ((size_t)1024 * 1024)
#define BOOKMARK     (2 * SECOND)
#define GIVE_UP      (60 * SECOND)

enum way { WAY_NEVER, WAY_RESTART, WAY_DELETED, WAY_UNSEEN, WAY_COUNT };
static const int codes[] = {101, 1, 143, 2};
static const char *const causes[] = {"Panic", "Error", "Terminated", "Error"};

enum kind {
	KIND_LIST,
	KIND_WATCH,
	KIND_LOG,
	KIND_FOLLOW,
	KIND_RECORD_POST,
	KIND_RECORD_GET,
	KIND_RECORD_LIST,
	KIND_STATUS,
	KIND_EVENT,
	KIND_LEASE,
	KIND_OTHER,
	KIND_COUNT
};
static const char *const kind_names[] = {"list",        "watch",      "log",         "follow",
                                         "record_post", "record_get", "record_list", "status",
                                         "event",       "lease",      "other"};

struct termination {
	bool known;
	enum way way;
	unsigned run;
	int64_t started_at; /* wall, as all times here */
	int64_t finished_at;
};

struct pod {
	unsigned serial; /* name and uid follow from it; even ones are never restarted */
	unsigned run;
	bool ended;
	bool deleting;
	int64_t started_at;
	struct termination last; /* in state when ended, else in lastState */
};

struct event {
	char type[12];
	struct pod pod;
};

/* One that is expected; by name. */
struct record {
	char *name;
	struct termination end;
	int64_t published_at;
	int64_t recorded_at;
	bool notified;
};

struct action {
	int64_t due; /* 0: none */
	unsigned pod;
	enum way way;
};

static struct {
	const char *cert;
	const char *key;
	unsigned pods;
	unsigned terminations;
	unsigned rate;
	unsigned watches;
	unsigned drop;
	unsigned large;
	unsigned many_args;
	unsigned unwrapped;
	unsigned slow;
} options = {.pods = 2000, .terminations = 100, .rate = 50, .watches = 1, .slow = 1};

/* Everything below belongs to the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct pod *pods;
static struct termination *last_terminations; /* by serial */
static unsigned *places;                      /* of a serial, in pods */
static unsigned serials;
static struct event *events;
static size_t event_count;
static struct record *records; /* open addressing */
static size_t record_slots;
static unsigned issued;
static unsigned published;
static unsigned recorded;
static unsigned notified;
static unsigned again;
static unsigned wrong;
static unsigned unexpected;
static int64_t last_record_at;
static struct action *actions;
static char lease[4096]; /* its object; "": there is none */
static unsigned lease_version;
static unsigned watches_open;
static unsigned sources[3];
static unsigned without_last_words;
static int64_t first_published_at; /* 0: none yet */
static struct buffer last_posted;  /* a record */

static atomic_uint requests[KIND_COUNT];
static atomic_uint connections;

static int64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_REALTIME, &time);
	return (int64_t)time.tv_sec * SECOND + time.tv_nsec;
}

static void terminate(const char *what)
{
	fprintf(stderr, "api_server: %s\n", what);
	exit(1);
}

/* ---- Names ---- */

static void pod_name(unsigned serial, char ret_name[32])
{
	snprintf(ret_name, 32, "agent-%07u", serial);
}

static void pod_uid(unsigned serial, char ret_uid[40])
{
	snprintf(ret_uid, 40, "%08x-5110-4436-8a54-%012x", serial * 2654435761U, serial);
}

static unsigned pod_namespace(unsigned serial)
{
	return serial % NAMESPACES;
}

static bool is_unwrapped(unsigned serial)
{
	return serial * 37 % 100 < options.unwrapped;
}

/* ---- Expected records ---- */

static struct record *find_record(const char *name)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (const char *c = name; *c != '\0'; c++)
		hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
	size_t slot = hash % record_slots;
	while (records[slot].name != NULL && strcmp(records[slot].name, name) != 0)
		slot = (slot + 1) % record_slots;
	return &records[slot];
}

static void expect(const struct pod *pod, const struct termination *end)
{
	char name[AGENT_EXIT_NAME_SIZE];
	char short_name[32];
	char uid[40];
	pod_name(pod->serial, short_name);
	pod_uid(pod->serial, uid);
	agent_exit_name(short_name, uid, "main", end->run, true, name);
	struct record *record = find_record(name);
	record->name = strdup(name);
	record->end = *end;
	record->published_at = now();
	if (first_published_at == 0)
		first_published_at = record->published_at;
	published++;
}

/* ---- Objects ---- */

static void write_time(struct buffer *out, const char *key, int64_t time)
{
	char text[TIMESTAMP_SIZE];
	timestamp_print(time - time % SECOND, text);
	buffer_printf(out, "\"%s\":\"%.19sZ\"", key, text);
}

static void write_terminated(struct buffer *out, const struct termination *end)
{
	buffer_printf(out, "{\"terminated\":{\"exitCode\":%d,\"reason\":\"Error\",",
	              codes[end->way]);
	write_time(out, "startedAt", end->started_at);
	buffer_append_char(out, ',');
	write_time(out, "finishedAt", end->finished_at);
	buffer_append_text(out, ",\"containerID\":\"containerd://4a1c\"}}");
}

static void write_running(struct buffer *out, int64_t started_at)
{
	buffer_append_text(out, "{\"running\":{");
	write_time(out, "startedAt", started_at);
	buffer_append_text(out, "}}");
}

static void write_status(struct buffer *out, const struct pod *pod)
{
	buffer_append_text(out, "\"status\":{\"phase\":\"Running\",\"qosClass\":\"Burstable\",");
	write_time(out, "startTime", pod->started_at);
	buffer_printf(out,
	              ",\"containerStatuses\":[{\"name\":\"main\",\"restartCount\":%u,\"image\":"
	              "\"registry.example.com/agents/coder:1\",\"state\":",
	              pod->run);
	if (pod->ended)
		write_terminated(out, &pod->last);
	else
		write_running(out, pod->started_at);
	buffer_append_text(out, ",\"lastState\":");
	if (!pod->ended && pod->last.known)
		write_terminated(out, &pod->last);
	else
		buffer_append_text(out, "{}");
	buffer_append_text(out, "},{\"name\":\"docker-daemon\",\"restartCount\":0,\"state\":");
	/* The final object of a deleted pod: everything has stopped. */
	if (pod->ended && pod->deleting)
		write_terminated(out, &pod->last);
	else
		write_running(out, pod->started_at);
	if (is_unwrapped(pod->serial)) {
		buffer_append_text(out, "}]}");
		return;
	}
	buffer_append_text(out, "}],\"initContainerStatuses\":[{\"name\":\"lastword-watchdog\","
	                        "\"restartCount\":0,\"state\":");
	write_running(out, pod->started_at);
	buffer_append_text(out, "}]}");
}

/* The arguments of those that have many, or one that is huge; as a real API server prints them. */
static char *arguments[2];
static size_t arguments_length[2];

static void make_arguments(unsigned which, const char *before, const char *unit, size_t count,
                           const char *after)
{
	struct buffer text;
	buffer_init(&text, 8 * MESSAGE_MAX);
	buffer_append_text(&text, before);
	for (size_t i = 0; i < count; i++)
		buffer_append_text(&text, unit);
	buffer_append_text(&text, after);
	arguments_length[which] = text.length;
	arguments[which] = buffer_steal(&text);
	if (arguments[which] == NULL)
		terminate("no memory");
}

static void write_arguments(struct buffer *out, unsigned serial)
{
	unsigned special = options.large + options.many_args;
	unsigned place = places[serial];
	unsigned apart = special == 0 ? 0 : options.pods / special;
	if (special == 0 || place % apart != 0 || place / apart >= special)
		return;
	unsigned which = place / apart >= options.large;
	buffer_append(out, arguments[which], arguments_length[which]);
}

static void write_spec(struct buffer *out, unsigned serial)
{
	const char *policy = serial % 2 == 0 ? "Never" : "OnFailure";
	buffer_printf(out, "\"spec\":{\"restartPolicy\":\"%s\",\"nodeName\":\"node-%u\"", policy,
	              serial % 97);
	buffer_printf(out,
	              ",\"containers\":[{\"name\":\"main\",\"image\":"
	              "\"registry.example.com/agents/coder:1\",\"command\":[%s\"/agent\"],",
	              is_unwrapped(serial) ? ""
	                                   : "\"/lastword/shim\",\"run\",\"--name\",\"main\","
	                                     "\"--\",");
	write_arguments(out, serial);
	buffer_append_text(out, "\"env\":[");
	for (unsigned i = 0; i < 30; i++)
		buffer_printf(out, "%s{\"name\":\"VARIABLE_%u\",\"value\":\"value-%u-%u\"}",
		              i == 0 ? "" : ",", i, i, serial);
	buffer_append_text(out, "]},{\"name\":\"docker-daemon\",\"image\":\"docker:dind\"}]");
	if (is_unwrapped(serial)) {
		buffer_append_text(out, "},");
		return;
	}
	buffer_append_text(out, ",\"initContainers\":[{\"name\":\"lastword-watchdog\",\"image\":"
	                        "\"ghcr.io/lastword/lastword-watchdog:0.1.0\",\"restartPolicy\":"
	                        "\"Always\",\"command\":[\"/shim\",\"watch\",");
	buffer_printf(out,
	              "\"--container\",\"main=%s\",\"--context\",\"agent=coder-%u\",\"--context\","
	              "\"task_id=task-%u\"]}]},",
	              policy, serial % 20, serial);
}

/* About as large as an injected pod of a Job is. */
static void write_pod(struct buffer *out, const struct pod *pod, size_t version)
{
	char name[32];
	char uid[40];
	pod_name(pod->serial, name);
	pod_uid(pod->serial, uid);
	buffer_printf(out,
	              "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"%s\","
	              "\"namespace\":\"team-%u\",\"uid\":\"%s\",\"resourceVersion\":\"%zu\",",
	              name, pod_namespace(pod->serial), uid, version);
	write_time(out, "creationTimestamp", pod->started_at);
	if (pod->deleting) {
		buffer_append_text(out, ",\"deletionGracePeriodSeconds\":5,");
		write_time(out, "deletionTimestamp", now() + 5 * SECOND);
	}
	buffer_printf(out,
	              ",\"labels\":{\"lastword.dev/injected\":\"true\",\"agent\":\"coder-%u\"},"
	              "\"annotations\":{\"lastword.dev/status\":\"{\\\"version\\\":\\\"0.1.0\\\","
	              "\\\"outcome\\\":\\\"injected\\\",\\\"sidecar\\\":\\\"%s\\\","
	              "\\\"containers\\\":[{\\\"name\\\":\\\"main\\\"}]}\"},\"ownerReferences\":[{"
	              "\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"name\":\"%s\",\"uid\":\"%s\","
	              "\"controller\":true}],\"managedFields\":[{\"manager\":\"kubelet\","
	              "\"operation\":\"Update\",\"fieldsV1\":{",
	              pod->serial % 20, is_unwrapped(pod->serial) ? "none" : "native", name, uid);
	for (unsigned i = 0; i < 40; i++)
		buffer_printf(out, "%s\"f:field-number-%u\":{\"f:type\":{},\"f:status\":{}}",
		              i == 0 ? "" : ",", i);
	buffer_append_text(out, "}}]},");
	write_spec(out, pod->serial);
	write_status(out, pod);
	buffer_append_char(out, '}');
}

/* The watchdog's report about a termination. */
static void write_line(struct buffer *out, unsigned serial, const struct termination *end)
{
	char name[32];
	char uid[40];
	char started[TIMESTAMP_SIZE];
	char finished[TIMESTAMP_SIZE];
	pod_name(serial, name);
	pod_uid(serial, uid);
	timestamp_print(end->started_at, started);
	timestamp_print(end->finished_at, finished);
	buffer_printf(out,
	              "{\"event\":\"end\",\"time\":\"%s\",\"version\":\"0.1.0\",\"source\":"
	              "\"watchdog\",\"pod\":\"%s\",\"namespace\":\"team-%u\",\"uid\":\"%s\","
	              "\"container\":\"main\",\"shim_instance\":%u,\"error_type\":\"%s\","
	              "\"evidence\":\"exit-code\",\"exit_code\":%d,",
	              finished, name, pod_namespace(serial), uid, end->run + 1, causes[end->way],
	              codes[end->way]);
	buffer_printf(
	        out,
	        "\"summary\":\"exit %d: the agent failed\",\"fingerprint\":\"%016x\","
	        "\"payload_snippet\":\"the agent failed\",\"started_at\":\"%s\","
	        "\"finished_at\":\"%s\",\"duration_seconds\":12.5,\"max_rss_bytes\":104857600,"
	        "\"cpu_seconds\":3.25,\"oom_kills\":0,\"shim_uid\":1000,\"agent\":\"coder-%u\","
	        "\"log_bytes_total\":123456,\"log_tail\":\"",
	        codes[end->way], serial % FINGERPRINTS, started, finished, serial % 20);
	for (unsigned i = 0; i < 80; i++)
		buffer_printf(out, "line %u of the end of the output of %s\\n", i, name);
	buffer_append_text(out, "\"}\n");
}

/* ---- The life of pods; with the lock ---- */

static void emit(const char *type, const struct pod *pod)
{
	struct event *event = &events[event_count++];
	snprintf(event->type, sizeof event->type, "%s", type);
	event->pod = *pod;
	pthread_cond_broadcast(&changed);
}

static void new_pod(unsigned place)
{
	/* The parity, and with it the restart policy, stays with the place. */
	serials += serials % 2 != place % 2;
	pods[place] = (struct pod){.serial = serials, .started_at = now() - 30 * SECOND};
	places[serials++] = place;
}

static void end_run(struct pod *pod, enum way way)
{
	pod->last = (struct termination){.known = true,
	                                 .way = way,
	                                 .run = pod->run,
	                                 .started_at = pod->started_at,
	                                 .finished_at = now()};
	last_terminations[pod->serial] = pod->last;
	expect(pod, &pod->last);
}

static void start_again(struct pod *pod)
{
	pod->run++;
	pod->ended = false;
	pod->started_at = pod->last.finished_at;
	emit("MODIFIED", pod);
}

static void plan(unsigned place, enum way way, int64_t delay)
{
	unsigned slot = 0;
	while (actions[slot].due != 0)
		slot++;
	actions[slot] = (struct action){now() + delay * options.slow, place, way};
}

static unsigned next_place(enum way way)
{
	static unsigned cursors[2];
	unsigned parity = way == WAY_RESTART || way == WAY_UNSEEN;
	for (;;) {
		unsigned place = cursors[parity] * 2 + parity;
		cursors[parity] = (cursors[parity] + 1) % (options.pods / 2);
		if (!pods[place].ended && !pods[place].deleting)
			return place;
	}
}

static void issue(void)
{
	enum way way = (enum way)(issued++ % WAY_COUNT);
	unsigned place = next_place(way);
	struct pod *pod = &pods[place];
	if (way == WAY_DELETED) {
		pod->deleting = true;
		emit("MODIFIED", pod);
		plan(place, way, 300 * MILLISECOND);
		return;
	}
	end_run(pod, way);
	if (way == WAY_UNSEEN) {
		start_again(pod);
		return;
	}
	pod->ended = true;
	emit("MODIFIED", pod);
	plan(place, way, way == WAY_NEVER ? SECOND : 50 * MILLISECOND);
}

static void act(const struct action *action)
{
	struct pod *pod = &pods[action->pod];
	if (action->way == WAY_RESTART) {
		start_again(pod);
		return;
	}
	if (action->way == WAY_DELETED) {
		end_run(pod, WAY_DELETED);
		pod->ended = true;
	}
	pod->deleting = true;
	emit("MODIFIED", pod);
	emit("DELETED", pod);
	new_pod(action->pod);
	emit("ADDED", pod);
}

static bool is_started(void)
{
	return watches_open >= options.watches && lease[0] != '\0';
}

/* Lets pods terminate at their rate. */
static void *live(void *unused)
{
	int64_t begin = 0;
	(void)unused;
	for (;;) {
		const struct timespec tick = {.tv_nsec = 2 * MILLISECOND};
		nanosleep(&tick, NULL);
		pthread_mutex_lock(&lock);
		int64_t time = now();
		if (begin == 0 && is_started())
			begin = time;
		unsigned due = begin == 0 ? 0 : (unsigned)((time - begin) * options.rate / SECOND);
		while (issued < options.terminations && issued < due)
			issue();
		for (unsigned i = 0; i < options.pods; i++)
			if (actions[i].due != 0 && actions[i].due <= time) {
				struct action action = actions[i];
				actions[i].due = 0;
				act(&action);
			}
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

/* ---- HTTP ---- */

struct connection {
	SSL *tls;
	struct buffer input;
	struct buffer output;
	struct arena *arena;
	/* the request */
	char method[8];
	char target[2048];
	const char *path;
	char query[2048]; /* "&" and what is behind the "?" */
	char *body;
	size_t body_length;
};

static bool send_all(struct connection *c, const char *bytes, size_t length)
{
	while (length > 0) {
		int sent = SSL_write(c->tls, bytes, length > 1 << 20 ? 1 << 20 : (int)length);
		if (sent <= 0)
			return false;
		bytes += sent;
		length -= (size_t)sent;
	}
	return true;
}

static bool fill(struct connection *c)
{
	char chunk[16384];
	int got = SSL_read(c->tls, chunk, sizeof chunk);
	if (got > 0)
		buffer_append(&c->input, chunk, (size_t)got);
	return got > 0 && buffer_ok(&c->input);
}

static bool read_request(struct connection *c, size_t *ret_size)
{
	char *end;
	while ((end = strstr(buffer_text(&c->input), "\r\n\r\n")) == NULL)
		if (!fill(c))
			return false;
	size_t head = (size_t)(end - c->input.data) + 4;
	*end = '\0';
	const char *length = strcasestr(c->input.data, "\r\ncontent-length:");
	c->body_length = length == NULL ? 0 : strtoul(length + 17, NULL, 10);
	if (c->body_length > MESSAGE_MAX ||
	    sscanf(c->input.data, "%7s %2047s", c->method, c->target) != 2)
		return false;
	c->path = c->target;
	c->query[0] = '\0';
	char *query = strchr(c->target, '?');
	if (query != NULL) {
		snprintf(c->query, sizeof c->query, "&%.2046s", query + 1);
		*query = '\0';
	}
	while (c->input.length < head + c->body_length)
		if (!fill(c))
			return false;
	c->body = c->input.data + head;
	*ret_size = head + c->body_length;
	return true;
}

/* "1234" of &key=1234&…; "" when it is not there. */
static void query_value(const struct connection *c, const char *key, char *ret_value, size_t size)
{
	char wanted[64];
	snprintf(wanted, sizeof wanted, "&%s=", key);
	const char *found = strstr(c->query, wanted);
	found = found == NULL ? "" : found + strlen(wanted);
	snprintf(ret_value, size, "%.*s", (int)strcspn(found, "&"), found);
}

static unsigned long query_number(const struct connection *c, const char *key)
{
	char text[32];
	query_value(c, key, text, sizeof text);
	return strtoul(text, NULL, 10);
}

static bool respond(struct connection *c, int status, const struct buffer *body)
{
	char head[160];
	int length = snprintf(head, sizeof head,
	                      "HTTP/1.1 %d X\r\nContent-Type: application/json\r\n"
	                      "Content-Length: %zu\r\n\r\n",
	                      status, body->length);
	/* One write, one TLS record where it fits. */
	struct buffer _cleanup_buffer_ all;
	buffer_init(&all, 64 * MESSAGE_MAX);
	buffer_append(&all, head, (size_t)length);
	buffer_append(&all, buffer_text(body), body->length);
	return buffer_ok(&all) && send_all(c, all.data, all.length);
}

static bool respond_status(struct connection *c, int status, const char *reason)
{
	buffer_clear(&c->output);
	buffer_printf(&c->output,
	              "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":"
	              "\"%s\",\"reason\":\"%s\",\"message\":\"%s\",\"code\":%d}",
	              status < 400 ? "Success" : "Failure", reason, reason, status);
	return respond(c, status, &c->output);
}

static bool begin_stream(struct connection *c)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	                           "Transfer-Encoding: chunked\r\n\r\n";
	return send_all(c, head, sizeof head - 1);
}

static bool send_chunk(struct connection *c, const struct buffer *bytes)
{
	struct buffer _cleanup_buffer_ chunk;
	buffer_init(&chunk, 64 * MESSAGE_MAX);
	buffer_printf(&chunk, "%zx\r\n", bytes->length);
	buffer_append(&chunk, buffer_text(bytes), bytes->length);
	buffer_append_text(&chunk, "\r\n");
	return send_all(c, chunk.data, chunk.length);
}

/* ---- Pods: list, watch, logs ---- */

static bool list_pods(struct connection *c)
{
	size_t limit = query_number(c, "limit");
	size_t from = query_number(c, "continue");
	if (limit == 0)
		limit = options.pods;
	pthread_mutex_lock(&lock);
	size_t version = event_count + 1;
	buffer_clear(&c->output);
	buffer_printf(&c->output,
	              "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{"
	              "\"resourceVersion\":\"%zu\"",
	              version);
	if (from + limit < options.pods)
		buffer_printf(&c->output, ",\"continue\":\"%zu\"", from + limit);
	buffer_append_text(&c->output, "},\"items\":[");
	pthread_mutex_unlock(&lock);
	bool open = begin_stream(c);
	for (size_t i = from; open && i < from + limit && i < options.pods; i++) {
		if (i > from)
			buffer_append_char(&c->output, ',');
		pthread_mutex_lock(&lock);
		write_pod(&c->output, &pods[i], version);
		pthread_mutex_unlock(&lock);
		if (c->output.length < CHUNK_SIZE)
			continue;
		open = send_chunk(c, &c->output);
		buffer_clear(&c->output);
	}
	buffer_append_text(&c->output, "]}");
	open = open && send_chunk(c, &c->output);
	buffer_clear(&c->output);
	return open && send_chunk(c, &c->output);
}

/* Up to 100 events after *cursor, fewer when they are large, or a bookmark, into the output. */
static void take_events(struct connection *c, size_t *cursor)
{
	struct timespec until;
	int waited = 0;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += BOOKMARK / SECOND;
	buffer_clear(&c->output);
	pthread_mutex_lock(&lock);
	while (*cursor >= event_count && waited == 0)
		waited = pthread_cond_timedwait(&changed, &lock, &until);
	size_t last = event_count < *cursor + 100 ? event_count : *cursor + 100;
	for (; *cursor < last && c->output.length < CHUNK_SIZE; (*cursor)++) {
		buffer_printf(&c->output, "{\"type\":\"%s\",\"object\":", events[*cursor].type);
		/* The version of an event is its number, counted from 2. */
		write_pod(&c->output, &events[*cursor].pod, *cursor + 2);
		buffer_append_text(&c->output, "}\n");
	}
	pthread_mutex_unlock(&lock);
	if (c->output.length == 0)
		buffer_printf(&c->output,
		              "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Pod\",\"metadata\":{"
		              "\"resourceVersion\":\"%zu\"}}}\n",
		              *cursor + 1);
}

static void count_watch(int by)
{
	pthread_mutex_lock(&lock);
	watches_open += (unsigned)by;
	pthread_mutex_unlock(&lock);
}

static bool watch_pods(struct connection *c)
{
	size_t version = query_number(c, "resourceVersion");
	size_t cursor = version < 1 ? 0 : version - 1;
	size_t first = cursor;
	bool open = begin_stream(c);
	count_watch(1);
	while (open && (options.drop == 0 || cursor - first < options.drop)) {
		take_events(c, &cursor);
		open = send_chunk(c, &c->output);
	}
	count_watch(-1);
	return false; /* broken off */
}

/* The pod's serial; UINT_MAX: there never was one of that name. */
static unsigned serial_of(const char *name)
{
	unsigned serial;
	if (sscanf(name, "agent-%7u", &serial) != 1 || serial >= serials)
		return UINT32_MAX;
	return serial;
}

/* The end of what an agent without a watchdog prints. */
static void write_words(struct buffer *out, unsigned serial, const struct termination *end)
{
	char name[32];
	pod_name(serial, name);
	if (codes[end->way] == 101)
		buffer_append_text(out, "thread 'main' panicked at src/main.rs:7:5:\n");
	buffer_printf(out, "the agent failed: %s, run %u\n", name, end->run);
}

static void write_output(struct buffer *out, unsigned serial)
{
	for (unsigned i = 0; i < 80; i++)
		buffer_printf(out, "line %u of the output of pod %u\n", i, serial);
}

/* As a kubelet follows a log: what is there, then what comes, until the container has ended. */
static bool follow_output(struct connection *c, unsigned serial)
{
	struct termination end;
	buffer_clear(&c->output);
	write_output(&c->output, serial);
	if (!begin_stream(c) || !send_chunk(c, &c->output))
		return false;
	pthread_mutex_lock(&lock);
	while (!last_terminations[serial].known)
		pthread_cond_wait(&changed, &lock);
	end = last_terminations[serial];
	pthread_mutex_unlock(&lock);
	buffer_clear(&c->output);
	write_words(&c->output, serial, &end);
	if (!send_chunk(c, &c->output))
		return false;
	buffer_clear(&c->output);
	return send_chunk(c, &c->output);
}

/* pod: as it is now. */
static bool read_output(struct connection *c, const struct pod *pod)
{
	bool previous = strstr(c->query, "&previous=true") != NULL;
	buffer_clear(&c->output);
	if (pod->deleting && pod->ended)
		buffer_append_text(&c->output, "failed to try resolving symlinks in path "
		                               "\"/var/log/pods/team_pod_uid/main/0.log\": lstat: "
		                               "no such file or directory");
	else
		write_output(&c->output, pod->serial);
	if (!pod->deleting && (previous || pod->ended))
		write_words(&c->output, pod->serial, &pod->last);
	return respond(c, 200, &c->output);
}

static bool follow_log(struct connection *c, unsigned serial)
{
	struct termination end;
	pthread_mutex_lock(&lock);
	while (!last_terminations[serial].known)
		pthread_cond_wait(&changed, &lock);
	end = last_terminations[serial];
	pthread_mutex_unlock(&lock);
	buffer_clear(&c->output);
	write_line(&c->output, serial, &end);
	if (!begin_stream(c) || !send_chunk(c, &c->output))
		return false;
	buffer_clear(&c->output);
	return send_chunk(c, &c->output);
}

static bool read_log(struct connection *c, const char *pod)
{
	char container[64];
	query_value(c, "container", container, sizeof container);
	pthread_mutex_lock(&lock);
	unsigned serial = serial_of(pod);
	bool there = serial != UINT32_MAX && pods[places[serial]].serial == serial;
	struct termination end =
	        there ? last_terminations[serial] : (struct termination){.known = false};
	struct pod present = there ? pods[places[serial]] : (struct pod){.serial = serial};
	pthread_mutex_unlock(&lock);
	if (!there)
		return respond_status(c, 404, "NotFound");
	if (is_unwrapped(serial))
		return strstr(c->query, "&follow=true") != NULL ? follow_output(c, serial)
		                                                : read_output(c, &present);
	if (strstr(c->query, "&follow=true") != NULL)
		return follow_log(c, serial);
	buffer_clear(&c->output);
	if (strcmp(container, "lastword-watchdog") != 0)
		buffer_append_text(&c->output, "working\nERROR the agent failed\n");
	else if (end.known)
		write_line(&c->output, serial, &end);
	return respond(c, 200, &c->output);
}

/* ---- Records, Events, the Lease ---- */

/* Of an agent without a watchdog the record has its last line, or nothing; with the lock. */
static void check_words(const struct record *record, const struct agent_exit *exit)
{
	char words[64];
	unsigned serial = serial_of(exit->pod);
	if (serial == UINT32_MAX || !is_unwrapped(serial))
		return;
	snprintf(words, sizeof words, "%s, run %u\n", exit->pod, record->end.run);
	bool has_words = exit->log_tail != NULL && strstr(exit->log_tail, words) != NULL;
	without_last_words += !has_words;
	wrong += !has_words && strcmp(exit->source, "kubelet") != 0;
}

/* Whether the record agrees with the termination; with the lock. */
static void compare(struct record *record, const struct agent_exit *exit)
{
	const enum way way = record->end.way;
	bool good = exit->exit_code == codes[way] && exit->error_type != NULL &&
	            strcmp(exit->error_type, causes[way]) == 0 &&
	            exit->restart_count == (int64_t)record->end.run &&
	            exit->running_container_count == 1;
	wrong += !good;
	if (!good && wrong < 10)
		fprintf(stderr, "api_server: %s: exit %" PRId64 ", %s, %zu others\n", record->name,
		        exit->exit_code, exit->error_type == NULL ? "" : exit->error_type,
		        exit->running_container_count);
	check_words(record, exit);
	static const char *const names[] = {"watchdog", "log", "kubelet"};
	for (size_t i = 0; i < 3; i++)
		sources[i] += exit->source != NULL && strcmp(exit->source, names[i]) == 0;
	record->recorded_at = last_record_at = now();
	recorded++;
}

static bool post_record(struct connection *c)
{
	json *root;
	struct agent_exit exit;
	arena_reset(c->arena);
	if (json_parse(c->arena, c->body, c->body_length, 0, &root, NULL) != JSON_FAITHFUL ||
	    !agent_exit_read(root, &exit, NULL))
		return respond_status(c, 400, "BadRequest");
	pthread_mutex_lock(&lock);
	struct record *record = find_record(exit.name);
	bool twice = record->name != NULL && record->recorded_at != 0;
	if (twice)
		again++;
	else if (record->name == NULL)
		unexpected++;
	else
		compare(record, &exit);
	buffer_clear(&last_posted);
	buffer_append(&last_posted, c->body, c->body_length);
	if (record->name == NULL && unexpected < 10)
		fprintf(stderr, "api_server: nothing is known of %s\n", exit.name);
	pthread_mutex_unlock(&lock);
	if (twice)
		return respond_status(c, 409, "AlreadyExists");
	buffer_clear(&c->output);
	buffer_append(&c->output, c->body, c->body_length);
	return respond(c, 201, &c->output);
}

static bool named_record(struct connection *c, const char *name)
{
	char copy[256];
	snprintf(copy, sizeof copy, "%s", name);
	char *slash = strchr(copy, '/');
	if (slash != NULL)
		*slash = '\0';
	pthread_mutex_lock(&lock);
	struct record *record = find_record(copy);
	bool there = record->name != NULL && record->recorded_at != 0;
	if (there && strcmp(c->method, "PATCH") == 0 && !record->notified) {
		record->notified = true;
		notified++;
		last_record_at = now();
	}
	bool was_notified = there && record->notified;
	pthread_mutex_unlock(&lock);
	if (!there)
		return respond_status(c, 404, "NotFound");
	buffer_clear(&c->output);
	buffer_printf(&c->output,
	              "{\"apiVersion\":\"" AGENT_EXIT_API_VERSION "\",\"kind\":\"" AGENT_EXIT_KIND
	              "\",\"metadata\":{\"name\":\"%s\"},\"spec\":{\"errorType\":\"Error\"},"
	              "\"status\":{\"notifications\":[%s]}}",
	              copy,
	              was_notified ? "{\"receiver\":\"event-pod\",\"state\":\"Delivered\"}" : "");
	return respond(c, 200, &c->output);
}

/* Of two that write, one has an old version; with the lock. */
static bool is_stale(const struct connection *c, const json *object)
{
	char version[16];
	snprintf(version, sizeof version, "%u", lease_version);
	if (strcmp(c->method, "POST") == 0)
		return lease[0] != '\0';
	return !json_string_is(json_find(object, "metadata", "resourceVersion", NULL), version);
}

/* With the lock; false: it was not written. */
static bool write_lease(struct connection *c)
{
	json *root;
	char version[16];
	struct buffer text;
	arena_reset(c->arena);
	if (json_parse(c->arena, c->body, c->body_length, 0, &root, NULL) != JSON_FAITHFUL ||
	    is_stale(c, root))
		return false;
	snprintf(version, sizeof version, "%u", ++lease_version);
	json_set_member(c->arena, json_get(root, "metadata"), "resourceVersion",
	                json_new_string(c->arena, version));
	buffer_init_fixed(&text, lease, sizeof lease);
	json_print(&text, root, 0);
	return buffer_ok(&text);
}

static bool on_lease(struct connection *c)
{
	bool writes = strcmp(c->method, "GET") != 0;
	buffer_clear(&c->output);
	pthread_mutex_lock(&lock);
	bool written = writes && write_lease(c);
	buffer_append_text(&c->output, lease);
	pthread_mutex_unlock(&lock);
	if (writes && !written)
		return respond_status(c, 409, "Conflict");
	if (c->output.length == 0)
		return respond_status(c, 404, "NotFound");
	return respond(c, strcmp(c->method, "POST") == 0 ? 201 : 200, &c->output);
}

static bool list_records(struct connection *c)
{
	buffer_clear(&c->output);
	buffer_append_text(&c->output,
	                   "{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":"
	                   "\"meta.k8s.io/v1\",\"metadata\":{\"resourceVersion\":\"1\"},"
	                   "\"items\":[]}");
	return respond(c, 200, &c->output);
}

static bool count_and(enum kind kind)
{
	atomic_fetch_add(&requests[kind], 1);
	return true;
}

/* /api/v1/namespaces/team-1/pods/NAME/log */
static bool on_core(struct connection *c)
{
	char pod[64];
	int end = 0;
	if (strcmp(c->path, "/api/v1/pods") == 0 && strstr(c->query, "&watch=1") != NULL)
		return count_and(KIND_WATCH) && watch_pods(c);
	if (strcmp(c->path, "/api/v1/pods") == 0)
		return count_and(KIND_LIST) && list_pods(c);
	if (sscanf(c->path, "/api/v1/namespaces/%*[^/]/pods/%63[^/]/log%n", pod, &end) == 1 &&
	    end > 0) {
		bool follow = strstr(c->query, "&follow=true") != NULL;
		return count_and(follow ? KIND_FOLLOW : KIND_LOG) && read_log(c, pod);
	}
	if (strcmp(c->method, "POST") == 0 && strstr(c->path, "/events") != NULL)
		return count_and(KIND_EVENT) && respond_status(c, 201, "Created");
	return count_and(KIND_OTHER) && respond_status(c, 404, "NotFound");
}

static bool on_request(struct connection *c)
{
	static const char plural[] = "/" AGENT_EXIT_PLURAL;
	const char *found = strstr(c->path, plural);
	if (strncmp(c->path, "/api/v1/", 8) == 0)
		return on_core(c);
	if (strstr(c->path, "/leases") != NULL)
		return count_and(KIND_LEASE) && on_lease(c);
	if (found == NULL)
		return count_and(KIND_OTHER) && respond_status(c, 404, "NotFound");
	const char *name = found + sizeof plural - 1;
	if (strcmp(c->method, "POST") == 0)
		return count_and(KIND_RECORD_POST) && post_record(c);
	if (*name != '/')
		return count_and(KIND_RECORD_LIST) && list_records(c);
	return count_and(strcmp(c->method, "PATCH") == 0 ? KIND_STATUS : KIND_RECORD_GET) &&
	       named_record(c, name + 1);
}

static void *serve(void *context)
{
	struct connection c = {.tls = context, .arena = arena_new(MESSAGE_MAX * 8)};
	size_t size;
	buffer_init(&c.input, 2 * MESSAGE_MAX);
	buffer_init(&c.output, 32 * MESSAGE_MAX);
	atomic_fetch_add(&connections, 1);
	bool open = c.arena != NULL && SSL_accept(c.tls) == 1;
	while (open && read_request(&c, &size)) {
		open = on_request(&c);
		memmove(c.input.data, c.input.data + size, c.input.length - size);
		buffer_truncate(&c.input, c.input.length - size);
	}
	close(SSL_get_fd(c.tls));
	SSL_free(c.tls);
	buffer_free(&c.input);
	buffer_free(&c.output);
	arena_free(c.arena);
	return NULL;
}

/* ---- The end ---- */

static int compare_numbers(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a;
	int64_t right = *(const int64_t *)b;
	return (left > right) - (left < right);
}

static void write_lags(struct json_writer *writer, unsigned count)
{
	static const struct {
		const char *name;
		unsigned percent;
	} points[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"max", 100}};
	int64_t *lags = calloc(count + 1, sizeof *lags);
	unsigned n = 0;
	for (size_t i = 0; lags != NULL && i < record_slots; i++)
		if (records[i].recorded_at != 0)
			lags[n++] =
			        (records[i].recorded_at - records[i].published_at) / MILLISECOND;
	json_write_key(writer, "lag_milliseconds");
	json_write_object_begin(writer);
	if (n > 0)
		qsort(lags, n, sizeof *lags, compare_numbers);
	for (size_t i = 0; n > 0 && i < sizeof points / sizeof points[0]; i++)
		json_write_member_integer(writer, points[i].name,
		                          lags[(size_t)(n - 1) * points[i].percent / 100]);
	json_write_object_end(writer);
	free(lags);
}

/* With the lock. */
static void print_figures(void)
{
	struct buffer _cleanup_buffer_ out;
	struct json_writer writer;
	buffer_init(&out, 65536);
	json_writer_init(&writer, &out);
	json_write_object_begin(&writer);
	json_write_member_integer(&writer, "expected", options.terminations);
	json_write_member_integer(&writer, "recorded", recorded);
	json_write_member_integer(&writer, "missing", (int64_t)options.terminations - recorded);
	json_write_member_integer(&writer, "again", again);
	json_write_member_integer(&writer, "wrong", wrong);
	json_write_member_integer(&writer, "unexpected", unexpected);
	json_write_member_integer(&writer, "notified", notified);
	json_write_member_integer(&writer, "source_watchdog", sources[0]);
	json_write_member_integer(&writer, "source_log", sources[1]);
	json_write_member_integer(&writer, "source_kubelet", sources[2]);
	json_write_member_integer(&writer, "without_last_words", without_last_words);
	json_write_member_integer(&writer, "connections", atomic_load(&connections));
	write_lags(&writer, recorded);
	json_write_member_integer(&writer, "milliseconds",
	                          (last_record_at - first_published_at) / MILLISECOND);
	if (last_posted.length > 0) {
		json_write_key(&writer, "record");
		json_write_raw(&writer, last_posted.data, last_posted.length);
	}
	json_write_key(&writer, "requests");
	json_write_object_begin(&writer);
	for (size_t i = 0; i < KIND_COUNT; i++)
		json_write_member_integer(&writer, kind_names[i], atomic_load(&requests[i]));
	json_write_object_end(&writer);
	json_write_object_end(&writer);
	printf("%s\n", buffer_text(&out));
	fflush(stdout);
}

/* Waits for the end, and for a record that should not be there. */
static void *judge(void *unused)
{
	(void)unused;
	for (;;) {
		const struct timespec tick = {.tv_nsec = 100 * MILLISECOND};
		nanosleep(&tick, NULL);
		pthread_mutex_lock(&lock);
		bool over = published == options.terminations &&
		            recorded + unexpected >= options.terminations && notified >= recorded;
		bool stuck = now() - last_record_at > GIVE_UP;
		if (over || stuck) {
			print_figures();
			bool good =
			        recorded == options.terminations && wrong == 0 && unexpected == 0;
			_exit(good ? 0 : 1);
		}
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static void start_thread(void *(*body)(void *), void *context)
{
	pthread_t thread;
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, (size_t)512 * 1024);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attributes, body, context) != 0)
		terminate("no thread");
	pthread_attr_destroy(&attributes);
}

static unsigned number(const char *text)
{
	unsigned long value = strtoul(text, NULL, 10);
	if (*text < '0' || *text > '9' || value > 1000000)
		terminate("expected a number up to 1000000");
	return (unsigned)value;
}

static void read_options(int argc, char **argv)
{
	static const struct option long_options[] = {
	        {"cert", required_argument, NULL, 'c'},
	        {"key", required_argument, NULL, 'k'},
	        {"pods", required_argument, NULL, 'p'},
	        {"terminations", required_argument, NULL, 'e'},
	        {"rate", required_argument, NULL, 'r'},
	        {"watches", required_argument, NULL, 'w'},
	        {"drop", required_argument, NULL, 'd'},
	        {"large", required_argument, NULL, 'l'},
	        {"many-args", required_argument, NULL, 'm'},
	        {"unwrapped", required_argument, NULL, 'u'},
	        {"slow", required_argument, NULL, 's'},
	        {NULL, 0, NULL, 0},
	};
	int code;
	while ((code = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (code == 'c')
			options.cert = optarg;
		else if (code == 'k')
			options.key = optarg;
		else if (code == 'p')
			options.pods = number(optarg) / 2 * 2;
		else if (code == 'e')
			options.terminations = number(optarg);
		else if (code == 'r')
			options.rate = number(optarg);
		else if (code == 'w')
			options.watches = number(optarg);
		else if (code == 'd')
			options.drop = number(optarg);
		else if (code == 'l')
			options.large = number(optarg);
		else if (code == 'm')
			options.many_args = number(optarg);
		else if (code == 'u')
			options.unwrapped = number(optarg);
		else if (code == 's')
			options.slow = number(optarg);
		else
			exit(2);
	}
	if (options.cert == NULL || options.key == NULL || options.pods < 2 || options.rate == 0 ||
	    options.large + options.many_args > options.pods)
		terminate("expected --cert and --key, and not more large pods than pods");
}

static void prepare(void)
{
	size_t most = (size_t)options.pods * 2 + options.terminations * 4 + 16;
	record_slots = (size_t)options.terminations * 4 + 64;
	pods = calloc(options.pods, sizeof *pods);
	actions = calloc(options.pods, sizeof *actions);
	last_terminations = calloc(most, sizeof *last_terminations);
	places = calloc(most, sizeof *places);
	events = calloc(most * 2, sizeof *events);
	records = calloc(record_slots, sizeof *records);
	if (pods == NULL || actions == NULL || last_terminations == NULL || places == NULL ||
	    events == NULL || records == NULL)
		terminate("no memory");
	make_arguments(0, "\"args\":[\"", "\\u003c", 1450000, "\"],");
	make_arguments(1, "\"args\":[", "\"\",", 699999, "\"\"],");
	last_record_at = now();
	buffer_init(&last_posted, MESSAGE_MAX);
	for (unsigned i = 0; i < options.pods; i++)
		new_pod(i);
}

static int listen_on_loopback(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
	    listen(listener, 512) != 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &length) != 0)
		terminate("cannot listen");
	printf("{\"port\":%u}\n", (unsigned)ntohs(address.sin_port));
	fflush(stdout);
	return listener;
}

int main(int argc, char **argv)
{
	read_options(argc, argv);
	prepare();
	signal(SIGPIPE, SIG_IGN);
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	if (context == NULL || SSL_CTX_use_certificate_chain_file(context, options.cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(context, options.key, SSL_FILETYPE_PEM) != 1)
		terminate("cannot use certificate and key");
	int listener = listen_on_loopback();
	start_thread(live, NULL);
	start_thread(judge, NULL);
	for (;;) {
		int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		SSL *tls = socket < 0 ? NULL : SSL_new(context);
		if (tls == NULL || SSL_set_fd(tls, socket) != 1)
			terminate("cannot accept");
		start_thread(serve, tls);
	}
}
