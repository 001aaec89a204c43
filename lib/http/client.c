#include "lib/base/clock.h"
#include "lib/http/client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/buffer.h"

#define CONNECT_MILLISECONDS         2000L
#define CONNECT_OUTSIDE_MILLISECONDS 10000L
#define REDIRECTS_MAX                3L
#define CA_CACHE_SECONDS             60L
/* Idle connections that are kept; more are closed after use. */
#define CONNECTIONS_KEPT 64L
#define BODY_MAX         ((size_t)16 * 1024 * 1024)

struct http_exchange {
	struct http_exchange *previous;
	struct http_exchange *next;
	struct http_client *client;
	CURL *curl;
	struct curl_slist *headers;
	struct buffer body;
	http_receive *receive;
	http_finish *finish;
	void *context;
	int64_t idle_timeout;
	int64_t heard_at; /* when the last byte came, or it began */
	bool stopped;     /* by receive() */
	bool secret;      /* the URL is */
	char problem[CURL_ERROR_SIZE];
};

struct http_client {
	CURLM *multi;
	struct http_exchange *first;
	struct http_exchange *finished; /* freed at the end of a step */
	char *ca_file;                  /* NULL: the system's */
	bool outside;                   /* of the cluster */
};

static void initialize(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

static struct http_client *client_new(const char *ca_file, bool outside)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, initialize);

	struct http_client *client = calloc(1, sizeof *client);
	if (client == NULL)
		return NULL;
	client->multi = curl_multi_init();
	client->ca_file = ca_file == NULL ? NULL : strdup(ca_file);
	client->outside = outside;
	if (client->multi == NULL || (ca_file != NULL && client->ca_file == NULL)) {
		http_client_free(client);
		return NULL;
	}
	curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_KEPT);
	return client;
}

struct http_client *http_client_new(const char *ca_file)
{
	return client_new(ca_file, false);
}

struct http_client *http_client_new_outside(const char *ca_file)
{
	return client_new(ca_file, true);
}

static void exchange_free(struct http_exchange *exchange)
{
	curl_easy_cleanup(exchange->curl);
	curl_slist_free_all(exchange->headers);
	buffer_free(&exchange->body);
	free(exchange);
}

/* Removes the exchange from the client; libcurl makes no callback for it any more. */
static void exchange_detach(struct http_exchange *exchange)
{
	struct http_client *client = exchange->client;
	curl_multi_remove_handle(client->multi, exchange->curl);
	if (exchange->previous != NULL)
		exchange->previous->next = exchange->next;
	else
		client->first = exchange->next;
	if (exchange->next != NULL)
		exchange->next->previous = exchange->previous;
}

void http_exchange_cancel(struct http_exchange *exchange)
{
	if (exchange == NULL)
		return;
	exchange_detach(exchange);
	exchange_free(exchange);
}

void http_client_free(struct http_client *client)
{
	if (client == NULL)
		return;
	struct http_exchange *next;
	for (struct http_exchange *exchange = client->first; exchange != NULL; exchange = next) {
		next = exchange->next;
		http_exchange_cancel(exchange);
	}
	curl_multi_cleanup(client->multi);
	free(client->ca_file);
	free(client);
}

/* ---- Starting ---- */

/* Returning fewer bytes than arrived makes libcurl give up. */
static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
	struct http_exchange *exchange = context;
	long status = 0;
	exchange->heard_at = clock_now();
	curl_easy_getinfo(exchange->curl, CURLINFO_RESPONSE_CODE, &status);
	if (exchange->receive(exchange->context, status, bytes, size * count))
		return size * count;
	exchange->stopped = true;
	return 0;
}

static bool add_header(struct http_exchange *exchange, const char *name, const char *value)
{
	char header[256];
	if (value == NULL)
		return true;
	snprintf(header, sizeof header, "%s: %s", name, value);
	return curl_slist_append(exchange->headers, header) != NULL;
}

static bool set_headers(struct http_exchange *exchange, const struct http_order *order)
{
	/* Without an empty "Expect:" libcurl waits a second for a 100 before it sends a larger
	 * body. */
	exchange->headers = curl_slist_append(NULL, "Expect:");
	if (exchange->headers == NULL ||
	    !add_header(exchange, "Content-Type", order->content_type) ||
	    !add_header(exchange, "Accept", order->accept))
		return false;
	if (order->elsewhere == NULL || order->elsewhere->headers == NULL)
		return true;
	for (const char *const *line = order->elsewhere->headers; *line != NULL; line++)
		if (curl_slist_append(exchange->headers, *line) == NULL)
			return false;
	return true;
}

static void set_fixed(CURL *curl, bool outside, bool elsewhere)
{
	curl_easy_setopt(curl, CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_SECONDS);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, elsewhere ? "http,https" : "https");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	if (!outside)
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
	                 outside ? CONNECT_OUTSIDE_MILLISECONDS : CONNECT_MILLISECONDS);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "lastword/" LASTWORD_VERSION);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
}

static CURLcode set_credentials(CURL *curl, const struct http_order *order)
{
	if (order->bearer != NULL) {
		curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
		return curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, order->bearer);
	}
	if (order->user == NULL)
		return CURLE_OK;
	curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
	CURLcode code = curl_easy_setopt(curl, CURLOPT_USERNAME, order->user);
	return code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_PASSWORD, order->password);
}

/* With a CA file only its CAs are trusted, without one the system's are. */
static CURLcode set_trust(CURL *curl, const char *ca_file)
{
	if (ca_file == NULL)
		return CURLE_OK;
	curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	return curl_easy_setopt(curl, CURLOPT_CAINFO, ca_file);
}

/* Only the options that copy a text can fail. */
static bool set_order(struct http_exchange *exchange, const struct http_order *order)
{
	CURL *curl = exchange->curl;
	const struct http_elsewhere *elsewhere = order->elsewhere;
	set_fixed(curl, exchange->client->outside || elsewhere != NULL, elsewhere != NULL);
	if (order->follow_redirects) {
		curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
		curl_easy_setopt(curl, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
		curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "https");
	}
	if (order->timeout > 0)
		curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
		                 (long)(order->timeout / MILLISECOND) + 1);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, exchange->problem);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
	curl_easy_setopt(curl, CURLOPT_PRIVATE, exchange);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, exchange->headers);
	CURLcode code =
	        set_trust(curl, elsewhere != NULL ? elsewhere->ca_file : exchange->client->ca_file);
	if (code == CURLE_OK)
		code = curl_easy_setopt(curl, CURLOPT_URL, order->url);
	if (code == CURLE_OK)
		code = set_credentials(curl, order);
	if (code == CURLE_OK && order->content_type != NULL) {
		/* libcurl's own copy would not be wiped: it may be a Secret. */
		buffer_append(&exchange->body, order->body, order->body_length);
		if (!buffer_ok(&exchange->body))
			return false;
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)order->body_length);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, buffer_text(&exchange->body));
	}
	if (code == CURLE_OK)
		code = curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, order->method);
	return code == CURLE_OK;
}

struct http_exchange *http_client_start(struct http_client *client, const struct http_order *order)
{
	struct http_exchange *exchange = calloc(1, sizeof *exchange);
	if (exchange == NULL)
		return NULL;
	exchange->client = client;
	exchange->receive = order->receive;
	exchange->finish = order->finish;
	exchange->context = order->context;
	exchange->idle_timeout = order->idle_timeout;
	exchange->secret = order->elsewhere != NULL;
	exchange->heard_at = clock_now();
	buffer_init_secret(&exchange->body, BODY_MAX);
	exchange->curl = curl_easy_init();
	if (exchange->curl == NULL || !set_headers(exchange, order) ||
	    !set_order(exchange, order) ||
	    curl_multi_add_handle(client->multi, exchange->curl) != CURLM_OK) {
		exchange_free(exchange);
		return NULL;
	}
	exchange->next = client->first;
	if (client->first != NULL)
		client->first->previous = exchange;
	client->first = exchange;
	return exchange;
}

/* ---- Running ---- */

static void finish(struct http_exchange *exchange, const char *problem)
{
	curl_off_t seconds = 0;
	struct http_result result = {.problem = problem, .retry_after = -1, .date = -1};
	struct curl_header *date;
	struct curl_header *authenticate;
	curl_easy_getinfo(exchange->curl, CURLINFO_RESPONSE_CODE, &result.status);
	if (curl_easy_getinfo(exchange->curl, CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK &&
	    seconds > 0)
		result.retry_after = seconds > INT32_MAX ? INT32_MAX * SECOND : seconds * SECOND;
	if (curl_easy_header(exchange->curl, "Date", 0, CURLH_HEADER, -1, &date) == CURLHE_OK) {
		time_t time = curl_getdate(date->value, NULL);
		result.date = time < 0 || time > INT64_MAX / SECOND ? -1 : (int64_t)time * SECOND;
	}
	if (curl_easy_header(exchange->curl, "WWW-Authenticate", 0, CURLH_HEADER, -1,
	                     &authenticate) == CURLHE_OK)
		result.authenticate = authenticate->value;
	exchange_detach(exchange);
	exchange->next = exchange->client->finished;
	exchange->client->finished = exchange;
	exchange->finish(exchange->context, &result);
}

static void free_finished(struct http_client *client)
{
	struct http_exchange *exchange = client->finished;
	client->finished = NULL;
	while (exchange != NULL) {
		struct http_exchange *next = exchange->next;
		exchange_free(exchange);
		exchange = next;
	}
}

static const char *describe(struct http_exchange *exchange, CURLcode code)
{
	if (code == CURLE_OK)
		return NULL;
	if (exchange->stopped)
		return "stopped by the receiver";
	return exchange->problem[0] != '\0' && !exchange->secret ? exchange->problem
	                                                         : curl_easy_strerror(code);
}

/* Calls back for every complete exchange; true: there was at least one. */
static bool finish_complete(struct http_client *client)
{
	CURLMsg *message;
	int left;
	bool any = false;
	while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
		char *exchange = NULL;
		CURLcode code = message->data.result;
		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange);
		finish((struct http_exchange *)(void *)exchange,
		       describe((struct http_exchange *)(void *)exchange, code));
		any = true;
	}
	return any;
}

/* Ends the exchanges that received nothing for too long; *wait is shortened to when the next one
 * may be due. */
static bool finish_dead(struct http_client *client, int64_t *wait)
{
	int64_t present = clock_now();
	struct http_exchange *next;
	bool any = false;
	for (struct http_exchange *exchange = client->first; exchange != NULL; exchange = next) {
		next = exchange->next;
		if (exchange->idle_timeout <= 0)
			continue;
		int64_t left = exchange->heard_at + exchange->idle_timeout - present;
		if (left > 0) {
			*wait = left < *wait ? left : *wait;
			continue;
		}
		finish(exchange, "no byte for too long");
		/* The callback may have changed the list. */
		next = client->first;
		any = true;
	}
	return any;
}

static bool step(struct http_client *client, int64_t *wait)
{
	int running;
	curl_multi_perform(client->multi, &running);
	bool any = finish_complete(client);
	any = finish_dead(client, wait) || any;
	free_finished(client);
	return any;
}

void http_client_run(struct http_client *client, int64_t nanoseconds)
{
	int64_t wait = nanoseconds;
	if (step(client, &wait) || nanoseconds <= 0)
		return;
	int64_t milliseconds = wait / MILLISECOND + (wait % MILLISECOND != 0);
	curl_multi_poll(client->multi, NULL, 0,
	                milliseconds > INT32_MAX ? INT32_MAX : (int)milliseconds, NULL);
	step(client, &wait);
}

void http_client_wake(struct http_client *client)
{
	curl_multi_wakeup(client->multi);
}
