#include "observer/transport.h"

#include <stdlib.h>
#include <time.h>

#include "lib/base/clock.h"

struct carried {
	struct engine *engine;
	struct request *request;
	struct kube_operation *operation;
};

/* Whatever comes was waited for: it is later than when the turn began. */
static void tell_time(struct engine *engine)
{
	engine->now = clock_now();
	engine->wall = clock_wall();
}

static bool receive(void *context, const char *bytes, size_t length)
{
	struct carried *carried = context;
	tell_time(carried->engine);
	return engine_receive(carried->request, bytes, length);
}

static void finish(void *context, struct kube_response *response, const struct error *error)
{
	struct carried *carried = context;
	struct engine *engine = carried->engine;
	struct request *request = carried->request;
	free(carried);
	tell_time(engine);
	engine_finish(engine, request, response, error);
}

static void drop(void *edge, struct request *request)
{
	struct carried *carried = request->carrier;
	(void)edge;
	kube_cancel(carried->operation);
	free(carried);
}

static void send(struct engine *engine, struct kube_client *client, struct request *request)
{
	struct error error = {"no memory"};
	struct carried *carried = calloc(1, sizeof *carried);
	if (carried != NULL) {
		*carried = (struct carried){.engine = engine, .request = request};
		request->carrier = carried;
		if (kube_start(client, &request->ask, request->receive == NULL ? NULL : receive,
		               finish, carried, &carried->operation, &error))
			return;
		free(carried);
	}
	struct kube_response _cleanup_kube_response_ response;
	kube_response_init(&response);
	engine_finish(engine, request, &response, &error);
}

void edge_join(struct observer *observer, struct kube_client *client)
{
	observer->engine.drop = drop;
	observer->engine.edge = client;
}

void edge_turn(struct observer *observer, struct kube_client *client, int64_t most)
{
	struct engine *engine = &observer->engine;
	struct request *request;
	observer_advance(observer, clock_now(), clock_wall());
	while ((request = engine_take(engine)) != NULL)
		send(engine, client, request);
	int64_t next = engine_next_timer(engine);
	int64_t wait = next == INT64_MAX ? most : next - clock_now();
	kube_run(client, wait < 0 ? 0 : wait < most ? wait : most);
	tell_time(engine);
}
