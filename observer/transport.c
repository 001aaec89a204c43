#include "observer/transport.h"

#include <stdlib.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/http/client.h"

#define OUTSIDE_BODY_MAX ((size_t)1024 * 1024) /* of a response, which is not read */

struct transfer {
	struct event_loop *loop;
	struct request *request;
	struct kube_operation *operation; /* NULL: it goes to another server */
	struct http_exchange *exchange;
	size_t received; /* from another server */
	int64_t sent_at;
};

/* Bytes are waited for: it is later now than when the turn began. */
static void update_clocks(struct event_loop *loop)
{
	loop->now = clock_now();
	loop->wall = wall_clock_read(&loop->wall_clock, loop->now, clock_wall());
}

/* A stream's Date is of its beginning, and other servers' clocks are no matter. */
static void take_date(struct event_loop *loop, const struct transfer *in_flight,
                      const struct kube_response *response)
{
	const struct request *request = in_flight->request;
	if (request->receive == NULL && request->outside == NULL)
		wall_clock_take_date(&loop->wall_clock, clock_now(), in_flight->sent_at,
		                     response->date);
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
	take_date(loop, in_flight, response);
	free(in_flight);
	update_clocks(loop);
	event_loop_finish_request(loop, request, response, error);
}

static void drop(void *transport, struct request *request)
{
	struct transfer *in_flight = request->operation;
	(void)transport;
	kube_cancel(in_flight->operation);
	http_exchange_cancel(in_flight->exchange);
	free(in_flight);
}

/* ---- Other servers ---- */

/* What they say is not kept: it may repeat a secret of the request. */
static bool receive_outside(void *context, long status, const char *bytes, size_t length)
{
	struct transfer *in_flight = context;
	(void)status;
	(void)bytes;
	in_flight->received += length;
	return in_flight->received <= OUTSIDE_BODY_MAX;
}

static void finish_outside(void *context, const struct http_result *result)
{
	struct kube_response _cleanup_kube_response_ response;
	struct error error;
	bool good = result->status / 100 == 2;
	kube_response_init(&response);
	response.status = result->status;
	response.retry_after = result->retry_after;
	if (result->status != 0)
		error_set(&error, "status %ld", result->status);
	else
		error_set(&error, "%s", result->problem == NULL ? "no response" : result->problem);
	finish(context, &response, good ? NULL : &error);
}

static bool start_outside(struct kube_client *client, struct transfer *in_flight)
{
	const struct request *request = in_flight->request;
	const struct http_elsewhere elsewhere = {
	        .headers = (const char *const *)request->outside->headers,
	        .ca_file = request->outside->ca_file,
	};
	const struct http_order order = {
	        .method = request->kube.method,
	        .url = request->kube.path,
	        .elsewhere = &elsewhere,
	        .content_type = request->kube.content_type,
	        .body = request->kube.body,
	        .body_length = request->kube.body_length,
	        .timeout = request->kube.timeout,
	        .receive = receive_outside,
	        .finish = finish_outside,
	        .context = in_flight,
	};
	in_flight->exchange = http_client_start(kube_http_client(client), &order);
	return in_flight->exchange != NULL;
}

static bool start(struct kube_client *client, struct transfer *in_flight, struct error *error)
{
	struct request *request = in_flight->request;
	if (request->outside != NULL)
		return start_outside(client, in_flight);
	return kube_start(client, &request->kube, request->receive == NULL ? NULL : receive, finish,
	                  in_flight, &in_flight->operation, error);
}

static void send(struct event_loop *loop, struct kube_client *client, struct request *request)
{
	struct error error = {"out of memory"};
	struct transfer *in_flight = calloc(1, sizeof *in_flight);
	if (in_flight != NULL) {
		*in_flight =
		        (struct transfer){.loop = loop, .request = request, .sent_at = clock_now()};
		request->operation = in_flight;
		if (start(client, in_flight, &error))
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
	update_clocks(loop);
	observer_advance(observer, loop->now, loop->wall);
	while ((request = event_loop_next_request(loop)) != NULL)
		send(loop, client, request);
	int64_t next = event_loop_next_timer(loop);
	int64_t wait = next == INT64_MAX ? most : next - clock_now();
	kube_run(client, wait < 0 ? 0 : wait < most ? wait : most);
	update_clocks(loop);
}
