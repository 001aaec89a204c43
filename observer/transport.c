#include "observer/transport.h"

#include <stdlib.h>
#include <time.h>

#include "lib/base/clock.h"

struct transfer {
	struct event_loop *loop;
	struct request *request;
	struct kube_operation *operation;
};

/* Bytes are waited for: it is later now than when the turn began. */
static void update_clocks(struct event_loop *loop)
{
	loop->now = clock_now();
	loop->wall = clock_wall();
}

static bool receive(void *context, const char *bytes, size_t length)
{
	struct transfer *in_flight = context;
	update_clocks(in_flight->loop);
	return event_loop_receive(in_flight->request, bytes, length);
}

static void finish(void *context, struct kube_response *response, const struct error *error)
{
	struct transfer *in_flight = context;
	struct event_loop *loop = in_flight->loop;
	struct request *request = in_flight->request;
	free(in_flight);
	update_clocks(loop);
	event_loop_finish_request(loop, request, response, error);
}

static void drop(void *transport, struct request *request)
{
	struct transfer *in_flight = request->operation;
	(void)transport;
	kube_cancel(in_flight->operation);
	free(in_flight);
}

static void send(struct event_loop *loop, struct kube_client *client, struct request *request)
{
	struct error error = {"out of memory"};
	struct transfer *in_flight = calloc(1, sizeof *in_flight);
	if (in_flight != NULL) {
		*in_flight = (struct transfer){.loop = loop, .request = request};
		request->operation = in_flight;
		if (kube_start(client, &request->kube, request->receive == NULL ? NULL : receive,
		               finish, in_flight, &in_flight->operation, &error))
			return;
		free(in_flight);
	}
	struct kube_response _cleanup_kube_response_ response;
	kube_response_init(&response);
	event_loop_finish_request(loop, request, &response, &error);
}

void transport_attach(struct observer *observer, struct kube_client *client)
{
	observer->loop.cancel = drop;
	observer->loop.transport = client;
}

void transport_run_once(struct observer *observer, struct kube_client *client, int64_t most)
{
	struct event_loop *loop = &observer->loop;
	struct request *request;
	observer_advance(observer, clock_now(), clock_wall());
	while ((request = event_loop_next_request(loop)) != NULL)
		send(loop, client, request);
	int64_t next = event_loop_next_timer(loop);
	int64_t wait = next == INT64_MAX ? most : next - clock_now();
	kube_run(client, wait < 0 ? 0 : wait < most ? wait : most);
	update_clocks(loop);
}
