#include "observer/evidence/log_follower.h"

#include <stdlib.h>
#include <string.h>

#include "lib/kube/names.h"
#include "observer/evidence/watchdog_report.h"
#include "observer/watch/line_splitter.h"
#include "observer/evidence/log_reader.h"

#define TAIL_LINES 20

/* Alive while its pod is used; the pod holds it, and it holds the pod while it is open. */
struct follow {
	struct follow *previous;
	struct follow *next;
	struct follows *follows;
	struct live_pod *pod;
	struct request *request; /* NULL: closed */
	struct timer timer;      /* the end of it all */
	struct timer again;
	unsigned failures;
	struct lines lines;
	struct arena *arena;
	char *kept[POD_AGENTS_MAX]; /* by the agent's place in the pod */
};

void follows_init(struct follows *follows, struct engine *engine,
                  void (*ended)(void *context, struct live_pod *pod), void *context)
{
	*follows = (struct follows){.engine = engine, .ended = ended, .context = context};
}

static void close_follow(struct follow *follow)
{
	struct follows *follows = follow->follows;
	engine_clear_timer(follows->engine, &follow->timer);
	engine_clear_timer(follows->engine, &follow->again);
	engine_cancel(follows->engine, follow->request);
	follow->request = NULL;
	lines_free(&follow->lines);
	arena_free(follow->arena);
	follow->arena = NULL;
	if (follow->previous != NULL)
		follow->previous->next = follow->next;
	else
		follows->first = follow->next;
	if (follow->next != NULL)
		follow->next->previous = follow->previous;
	follows->count--;
}

void follow_free(struct follow *follow)
{
	if (follow == NULL)
		return;
	for (size_t i = 0; i < POD_AGENTS_MAX; i++)
		free(follow->kept[i]);
	free(follow);
}

void follows_free(struct follows *follows)
{
	while (follows->first != NULL) {
		struct live_pod *pod = follows->first->pod;
		close_follow(follows->first);
		live_release(pod);
	}
}

static bool take_line(void *context, const char *text, size_t length)
{
	struct follow *follow = context;
	struct line line;
	arena_reset(follow->arena);
	if (!line_read(follow->arena, text, length, follow->pod->facts->uid, &line))
		return true;
	struct live_agent *agent = live_agent(follow->pod, line.container);
	char *copy = agent == NULL ? NULL : malloc(length + 1);
	if (copy == NULL)
		return true;
	memcpy(copy, text, length);
	copy[length] = '\0';
	char **kept = &follow->kept[agent - follow->pod->agents];
	free(*kept);
	*kept = copy;
	return true;
}

static bool receive(void *context, const char *bytes, size_t length)
{
	struct follow *follow = context;
	return lines_feed(&follow->lines, bytes, length, take_line, follow);
}

static void end_follow(struct follow *follow)
{
	struct follows *follows = follow->follows;
	struct live_pod *pod = follow->pod;
	close_follow(follow);
	follows->ended(follows->context, pod);
	live_release(pod);
}

static void finished(void *context, struct kube_response *response, const struct error *error)
{
	struct follow *follow = context;
	struct engine *engine = follow->follows->engine;
	follow->request = NULL;
	/* What a broken connection left out may still come, and what came before comes again. */
	int64_t delay = error == NULL ? -1
	                              : kube_retry_delay("GET", response, ++follow->failures,
	                                                 engine_random(engine));
	lines_end(&follow->lines, take_line, follow);
	if (delay < 0 || follow->failures > LOGS_ATTEMPTS ||
	    !engine_set_timer(engine, &follow->again, engine->now + delay))
		end_follow(follow);
}

static void too_long(void *context)
{
	end_follow(context);
}

static bool ask(struct follow *follow)
{
	const struct end *facts = follow->pod->facts;
	const struct request request = {
	        .ask = {.path = engine_text(
	                        "/api/v1/namespaces/%s/pods/%s/log?container=" NAME_WATCHDOG
	                        "&follow=true&tailLines=%d",
	                        facts->namespace, facts->pod, TAIL_LINES)},
	        .rank = REQUEST_URGENT,
	        .receive = receive,
	        .finish = finished,
	        .context = follow,
	};
	follow->request = engine_request(follow->follows->engine, &request);
	return follow->request != NULL;
}

static void ask_again(void *context)
{
	if (!ask(context))
		end_follow(context);
}

void follow_start(struct follows *follows, struct live_pod *pod, int64_t until)
{
	if (pod->followed || follows->count >= FOLLOWS_MAX)
		return;
	struct follow *follow = calloc(1, sizeof *follow);
	if (follow == NULL)
		return;
	*follow = (struct follow){
	        .follows = follows,
	        .pod = pod,
	        .timer = {.fire = too_long, .context = follow},
	        .again = {.fire = ask_again, .context = follow},
	        .arena = arena_new(0),
	};
	lines_init(&follow->lines, LOGS_LINE_MAX);
	if (follow->arena == NULL || !ask(follow) ||
	    !engine_set_timer(follows->engine, &follow->timer, until + FOLLOW_SPARE)) {
		engine_cancel(follows->engine, follow->request);
		arena_free(follow->arena);
		free(follow);
		return;
	}
	follow->next = follows->first;
	if (follows->first != NULL)
		follows->first->previous = follow;
	follows->first = follow;
	follows->count++;
	follows->begun++;
	pod->follow = follow;
	pod->followed = true;
	live_use(pod);
}

bool follow_is_open(const struct live_pod *pod)
{
	return pod->follow != NULL && pod->follow->arena != NULL;
}

const char *follow_line(const struct live_pod *pod, const struct end *end)
{
	struct line line;
	struct arena *_cleanup_arena_ arena = NULL;
	if (pod->follow == NULL)
		return NULL;
	for (size_t i = 0; i < pod->agent_count; i++) {
		const char *kept = pod->follow->kept[i];
		if (kept == NULL || strcmp(pod->agents[i].name, end->container) != 0)
			continue;
		arena = arena_new(0);
		if (arena != NULL && line_read(arena, kept, strlen(kept), pod->facts->uid, &line) &&
		    line_distance(&line, end) >= 0)
			return kept;
		return NULL;
	}
	return NULL;
}
