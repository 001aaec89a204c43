#include "observer/record/resolver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/base/log.h"
#include "lib/diagnosis/fingerprint.h"
#include "lib/http/url.h"
#include "observer/record/record_writer.h"

#define PAGE       20 /* of records that are as large as they can be */
#define PAGE_MAX   ((size_t)8 * 1024 * 1024)
#define ARENA_MAX  ((size_t)64 * 1024 * 1024)
#define STATUS_MAX ((size_t)1024)

struct success {
	uint64_t agent; /* 0: none */
	int64_t started_at;
	int64_t finished_at;
};

struct resolution {
	struct resolution *next;
	uint64_t agent;
	char namespace[64];
	char identity[AGENT_EXIT_IDENTITY_SIZE];
	int64_t started_at; /* of the run that succeeded */
	int64_t finished_at;
	char *next_page; /* the list's continue token, escaped; NULL: its first page */
	bool open;       /* the list has records that stay open */
	bool failed;     /* a request did */
	unsigned attempts;
	int64_t failed_at; /* the first failure; 0: none */
};

static void request_page(void *context);

bool resolver_init(struct resolver *resolver, struct event_loop *loop,
                   struct observer_metrics *metrics)
{
	*resolver = (struct resolver){
	        .loop = loop,
	        .metrics = metrics,
	        .successes = calloc(RESOLVER_SUCCESSES, sizeof(struct success)),
	        .timer = {.fire = request_page, .context = resolver},
	};
	return resolver->successes != NULL;
}

static void forget_first(struct resolver *resolver)
{
	struct resolution *first = resolver->first;
	resolver->first = first->next;
	if (resolver->first == NULL)
		resolver->last = NULL;
	resolver->count--;
	free(first->next_page);
	free(first);
}

void resolver_free(struct resolver *resolver)
{
	if (resolver->loop == NULL)
		return;
	event_loop_cancel_request(resolver->loop, resolver->request);
	event_loop_clear_timer(resolver->loop, &resolver->timer);
	while (resolver->first != NULL)
		forget_first(resolver);
	free(resolver->successes);
	free(resolver->agents);
	*resolver = (struct resolver){.loop = NULL};
}

/* ---- Agents with open records ---- */

/* Not 0. */
static uint64_t agent_of(const char *namespace, const char *identity)
{
	char print[FINGERPRINT_SIZE];
	const char *const texts[] = {namespace, identity};
	fingerprint_of(texts, 2, print);
	return strtoull(print, NULL, 16) | 1;
}

/* Where the agent is in the sorted array, or would be. */
static size_t place_of(const struct resolver *resolver, uint64_t agent)
{
	size_t low = 0;
	for (size_t high = resolver->agent_count; low < high;) {
		size_t middle = low + (high - low) / 2;
		if (resolver->agents[middle] < agent)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_open(const struct resolver *resolver, uint64_t agent)
{
	size_t place = place_of(resolver, agent);
	return place < resolver->agent_count && resolver->agents[place] == agent;
}

static void set_open(struct resolver *resolver, uint64_t agent)
{
	if (is_open(resolver, agent))
		return;
	if (resolver->agent_count == RESOLVER_AGENTS_MAX)
		return;
	if (resolver->agent_count == resolver->agent_size) {
		size_t size = resolver->agent_size == 0 ? 64 : resolver->agent_size * 2;
		uint64_t *agents = reallocarray(resolver->agents, size, sizeof *agents);
		if (agents == NULL)
			return;
		resolver->agents = agents;
		resolver->agent_size = size;
	}
	size_t place = place_of(resolver, agent);
	memmove(&resolver->agents[place + 1], &resolver->agents[place],
	        (resolver->agent_count - place) * sizeof *resolver->agents);
	resolver->agents[place] = agent;
	resolver->agent_count++;
}

static void set_resolved(struct resolver *resolver, uint64_t agent)
{
	size_t place = place_of(resolver, agent);
	if (place == resolver->agent_count || resolver->agents[place] != agent)
		return;
	resolver->agent_count--;
	memmove(&resolver->agents[place], &resolver->agents[place + 1],
	        (resolver->agent_count - place) * sizeof *resolver->agents);
}

/* ---- The queue ---- */

static void schedule(struct resolver *resolver, int64_t delay)
{
	event_loop_set_timer(resolver->loop, &resolver->timer, resolver->loop->now + delay);
}

static struct resolution *find_waiting(const struct resolver *resolver, uint64_t agent)
{
	struct resolution *r = resolver->first == NULL ? NULL : resolver->first->next;
	while (r != NULL && r->agent != agent)
		r = r->next;
	return r;
}

/* Without memory, or room, the agent stays open. */
static void enqueue(struct resolver *resolver, uint64_t agent, const char *namespace,
                    const char *identity, const struct success *success)
{
	struct resolution *waiting = find_waiting(resolver, agent);
	if (waiting != NULL) {
		waiting->started_at = success->started_at;
		waiting->finished_at = success->finished_at;
		return;
	}
	struct resolution *resolution =
	        resolver->count < RESOLVER_QUEUE_MAX ? calloc(1, sizeof *resolution) : NULL;
	if (resolution == NULL)
		return;
	resolution->agent = agent;
	resolution->started_at = success->started_at;
	resolution->finished_at = success->finished_at;
	snprintf(resolution->namespace, sizeof resolution->namespace, "%s", namespace);
	snprintf(resolution->identity, sizeof resolution->identity, "%s", identity);
	if (resolver->last != NULL)
		resolver->last->next = resolution;
	else
		resolver->first = resolution;
	resolver->last = resolution;
	if (resolver->count++ == 0)
		schedule(resolver, 0);
}

/* Others go first while one that failed waits. */
static void rotate(struct resolver *resolver)
{
	struct resolution *first = resolver->first;
	if (first->next == NULL)
		return;
	resolver->first = first->next;
	resolver->last->next = first;
	resolver->last = first;
	first->next = NULL;
}

/* The first one is done, or failed and is tried again. */
static void finish_first(struct resolver *resolver)
{
	struct resolution *first = resolver->first;
	int64_t now = resolver->loop->now;
	free(first->next_page);
	first->next_page = NULL;
	if (first->failed && first->failed_at == 0)
		first->failed_at = now;
	if (first->failed && now - first->failed_at < RESOLVER_GIVE_UP) {
		const struct kube_response trouble = {.retry_after = -1};
		schedule(resolver, kube_retry_delay("GET", &trouble, ++first->attempts,
		                                    event_loop_random(resolver->loop)));
		first->failed = first->open = false;
		rotate(resolver);
		return;
	}
	if (!first->failed && !first->open)
		set_resolved(resolver, first->agent);
	forget_first(resolver);
	if (resolver->first != NULL)
		schedule(resolver, 0);
}

/* ---- Patches ---- */

/* The page is done: on to the next one, or to the next agent. */
static void page_done(struct resolver *resolver)
{
	if (resolver->first->next_page != NULL && !resolver->first->failed)
		schedule(resolver, 0);
	else
		finish_first(resolver);
}

static void patched(void *context, struct kube_response *response, const struct error *error)
{
	struct resolver *resolver = context;
	bool stale = resolver->stale > 0;
	resolver->patching--;
	resolver->stale -= stale;
	if (error == NULL) {
		observer_metrics_count(resolver->metrics, COUNTER_RESOLVED_RECORDS);
		record_listener_offer(resolver->listener, &response->body);
	} else if (response->status != 404 && !stale) {
		resolver->first->failed = true;
	}
	if (resolver->patching > 0 || resolver->first == NULL)
		return;
	if (stale)
		schedule(resolver, 0);
	else
		page_done(resolver);
}

static bool patch(struct resolver *resolver, const char *name)
{
	struct agent_exit exit;
	struct buffer body;
	agent_exit_init(&exit);
	exit.resolved_at = resolver->first->finished_at;
	buffer_init(&body, STATUS_MAX);
	agent_exit_write_status(&exit, &body);
	size_t length = body.length;
	const struct request request = {
	        .kube = {.method = "PATCH",
	                 .content_type = KUBE_MERGE_PATCH,
	                 .path = record_path(resolver->first->namespace, name, "/status"),
	                 .body = buffer_steal(&body),
	                 .body_length = length},
	        .finish = patched,
	        .context = resolver,
	};
	if (event_loop_add_request(resolver->loop, &request) == NULL)
		return false;
	resolver->patching++;
	return true;
}

/* ---- The list ---- */

static void take_record(struct resolver *resolver, const json *object)
{
	struct resolution *first = resolver->first;
	struct agent_exit exit;
	if (!agent_exit_read(object, &exit, NULL) || exit.resolved_at != AGENT_EXIT_UNKNOWN)
		return;
	int64_t ended_at =
	        exit.finished_at == AGENT_EXIT_UNKNOWN ? exit.created_at : exit.finished_at;
	if (ended_at > first->started_at)
		first->open = true;
	else if (!patch(resolver, exit.name))
		first->failed = true;
}

static bool take_page(struct resolver *resolver, const struct kube_response *response)
{
	json *root;
	struct arena *_cleanup_arena_ arena = arena_new(ARENA_MAX);
	if (arena == NULL || json_parse(arena, buffer_text(&response->body), response->body.length,
	                                0, &root, NULL) == JSON_INVALID)
		return false;
	const char *next = json_get_string_or(json_get(root, "metadata"), "continue", "");
	free(resolver->first->next_page);
	resolver->first->next_page = *next == '\0' ? NULL : url_escaped(next);
	for (json *n = json_first(json_get(root, "items")); n != NULL; n = json_next(n))
		take_record(resolver, n);
	return true;
}

static void page_received(void *context, struct kube_response *response, const struct error *error)
{
	struct resolver *resolver = context;
	resolver->request = NULL;
	if (error != NULL || !take_page(resolver, response))
		resolver->first->failed = true;
	if (resolver->patching == 0)
		page_done(resolver);
}

static void request_page(void *context)
{
	struct resolver *resolver = context;
	const struct resolution *first = resolver->first;
	if (first == NULL || resolver->request != NULL || resolver->patching > 0)
		return;
	const struct request request = {
	        .kube = {.path = request_path("/apis/" AGENT_EXIT_API_VERSION
	                                      "/namespaces/%s/" AGENT_EXIT_PLURAL
	                                      "?labelSelector=lastword.dev%%2Fidentity%%3D%s"
	                                      "&limit=%d%s%s",
	                                      first->namespace, first->identity, PAGE,
	                                      first->next_page == NULL ? "" : "&continue=",
	                                      first->next_page == NULL ? "" : first->next_page),
	                 .response_max = PAGE_MAX},
	        .finish = page_received,
	        .context = resolver,
	};
	resolver->request = event_loop_add_request(resolver->loop, &request);
	if (resolver->request == NULL)
		schedule(resolver, SECOND);
}

/* ---- The resolver ---- */

void resolver_set_leader(struct resolver *resolver, bool leader)
{
	resolver->leader = leader;
	/* The other leader resolves; what it has to know it finds itself. Patches that are in
	 * flight are completed: they do no harm. */
	event_loop_cancel_request(resolver->loop, resolver->request);
	event_loop_clear_timer(resolver->loop, &resolver->timer);
	resolver->request = NULL;
	resolver->stale = resolver->patching;
	resolver->agent_count = 0;
	while (resolver->first != NULL)
		forget_first(resolver);
}

void resolver_add_success(struct resolver *resolver, const char *namespace, const char *identity,
                          int64_t started_at, int64_t finished_at)
{
	uint64_t agent = agent_of(namespace, identity);
	const struct success success = {agent, started_at, finished_at};
	struct success *known = &resolver->successes[agent / 2 % RESOLVER_SUCCESSES];
	/* The one that started last resolves all that another one would. */
	if (known->agent == agent && known->started_at > started_at)
		return;
	if (known->started_at <= started_at)
		*known = success;
	if (resolver->leader && is_open(resolver, agent))
		enqueue(resolver, agent, namespace, identity, &success);
}

void resolver_add_record(struct resolver *resolver, const char *namespace, const char *identity,
                         int64_t ended_at)
{
	uint64_t agent = agent_of(namespace, identity);
	const struct success *known = &resolver->successes[agent / 2 % RESOLVER_SUCCESSES];
	if (!resolver->leader)
		return;
	set_open(resolver, agent);
	if (known->agent == agent && known->started_at >= ended_at)
		enqueue(resolver, agent, namespace, identity, known);
}
