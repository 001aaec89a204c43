#include "lib/http_client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"

#define CONNECT_MILLISECONDS 2000L
#define WHOLE_MILLISECONDS   5000L

struct http_client {
	CURL *curl;
	char problem[CURL_ERROR_SIZE];
};

static void initialize(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* Fewer bytes than came: libcurl gives up. */
static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
	struct buffer *body = context;
	buffer_append(body, bytes, size * count);
	return buffer_ok(body) ? size * count : 0;
}

struct http_client *http_client_new(const char *ca_file)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, initialize);

	struct http_client *client = calloc(1, sizeof *client);
	if (client == NULL)
		return NULL;
	client->curl = curl_easy_init();
	if (client->curl == NULL ||
	    curl_easy_setopt(client->curl, CURLOPT_CAINFO, ca_file) != CURLE_OK) {
		http_client_free(client);
		return NULL;
	}
	curl_easy_setopt(client->curl, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(client->curl, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(client->curl, CURLOPT_PROXY, "");
	curl_easy_setopt(client->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(client->curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MILLISECONDS);
	curl_easy_setopt(client->curl, CURLOPT_TIMEOUT_MS, WHOLE_MILLISECONDS);
	curl_easy_setopt(client->curl, CURLOPT_USERAGENT, "lastword/" LASTWORD_VERSION);
	curl_easy_setopt(client->curl, CURLOPT_ERRORBUFFER, client->problem);
	curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, take_body);
	return client;
}

void http_client_free(struct http_client *client)
{
	if (client == NULL)
		return;
	curl_easy_cleanup(client->curl);
	free(client);
}

bool http_client_get(struct http_client *client, const char *url, const char *bearer,
                     long *ret_status, struct buffer *body, struct error *error)
{
	client->problem[0] = '\0';
	curl_easy_setopt(client->curl, CURLOPT_URL, url);
	curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, body);
	curl_easy_setopt(client->curl, CURLOPT_HTTPAUTH,
	                 bearer == NULL ? CURLAUTH_NONE : CURLAUTH_BEARER);
	curl_easy_setopt(client->curl, CURLOPT_XOAUTH2_BEARER, bearer);
	CURLcode code = curl_easy_perform(client->curl);
	if (code != CURLE_OK)
		return error_set(error, "GET %s: %s", url,
		                 !buffer_ok(body)             ? "the answer is too large"
		                 : client->problem[0] != '\0' ? client->problem
		                                              : curl_easy_strerror(code));
	curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, ret_status);
	return true;
}
