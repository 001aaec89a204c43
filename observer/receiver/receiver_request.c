#include "observer/receiver/receiver_request.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/base/files.h"
#include "observer/receiver/payload.h"
#include "observer/receiver/presets.h"
#include "observer/receiver/receiver_config.h"

#define VALUE_MAX ((size_t)8 * 1024)

/* Without the line's end that editors add. */
static bool read_secret(const char *path, struct buffer *out, struct error *error)
{
	if (!file_read(path, out, error))
		return false;
	while (out->length > 0 && strchr("\r\n", out->data[out->length - 1]) != NULL)
		buffer_truncate(out, out->length - 1);
	if (out->length == 0)
		return error_set(error, "%s is empty", path);
	for (size_t i = 0; i < out->length; i++)
		if ((unsigned char)out->data[i] < ' ' || out->data[i] == 0x7f)
			return error_set(error, "%s has more than one line, or control characters",
			                 path);
	return true;
}

static bool read_value(const struct receiver_value *value, struct buffer *out, struct error *error)
{
	if (value->value_file != NULL)
		return read_secret(value->value_file, out, error);
	buffer_append_text(out, value->value);
	return true;
}

/* ---- Parameters ---- */

bool receiver_parameters_read(const struct receiver_settings *settings,
                              struct receiver_parameters *ret_parameters, struct error *error)
{
	struct receiver_parameters parameters = {.count = 0};
	for (size_t i = 0; i < settings->parameters.count && i < RECEIVER_HEADERS_MAX; i++) {
		struct buffer _cleanup_buffer_ value;
		buffer_init_secret(&value, VALUE_MAX);
		if (!read_value(&settings->parameters.items[i], &value, error)) {
			receiver_parameters_free(&parameters);
			return false;
		}
		parameters.values[parameters.count] =
		        value.length == 0 ? strdup("") : buffer_steal(&value);
		if (parameters.values[parameters.count] == NULL) {
			receiver_parameters_free(&parameters);
			return error_set(error, "out of memory");
		}
		parameters.count++;
	}
	*ret_parameters = parameters;
	return true;
}

void receiver_parameters_free(struct receiver_parameters *parameters)
{
	for (size_t i = 0; i < parameters->count; i++) {
		explicit_bzero(parameters->values[i], strlen(parameters->values[i]));
		free(parameters->values[i]);
	}
	parameters->count = 0;
}

/* ---- Headers ---- */

/* Takes the line's content over. */
static bool add_line(struct outside *outside, size_t *count, struct buffer *line,
                     struct error *error)
{
	char *text = *count < OUTSIDE_HEADERS_MAX ? buffer_steal(line) : NULL;
	if (text == NULL)
		return error_set(error, "too many headers, or out of memory");
	outside->headers[(*count)++] = text;
	return true;
}

static bool add_headers(const struct receiver_settings *settings, struct outside *outside,
                        size_t *count, struct error *error)
{
	for (size_t i = 0; i < settings->headers.count; i++) {
		struct buffer _cleanup_buffer_ line;
		struct buffer _cleanup_buffer_ value;
		buffer_init_secret(&line, VALUE_MAX + 100);
		buffer_init_secret(&value, VALUE_MAX);
		if (!read_value(&settings->headers.items[i], &value, error))
			return false;
		buffer_printf(&line, "%s: %s", settings->headers.items[i].name,
		              buffer_text(&value));
		if (!add_line(outside, count, &line, error))
			return false;
	}
	return true;
}

static bool add_bearer(const char *path, struct outside *outside, size_t *count,
                       struct error *error)
{
	struct buffer _cleanup_buffer_ line;
	struct buffer _cleanup_buffer_ token;
	buffer_init_secret(&line, VALUE_MAX + 100);
	buffer_init_secret(&token, VALUE_MAX);
	if (path == NULL)
		return true;
	if (!read_secret(path, &token, error))
		return false;
	buffer_printf(&line, "Authorization: Bearer %s", buffer_text(&token));
	return add_line(outside, count, &line, error);
}

static bool add_preset_headers(const struct receiver_settings *settings, struct outside *outside,
                               size_t *count, struct error *error)
{
	const struct preset *preset =
	        settings->preset == NULL ? NULL : preset_find(settings->preset);
	const char *const *lines = preset == NULL ? NULL : preset->headers;
	for (; lines != NULL && *lines != NULL; lines++) {
		struct buffer _cleanup_buffer_ line;
		buffer_init(&line, VALUE_MAX);
		buffer_append_text(&line, *lines);
		if (!add_line(outside, count, &line, error))
			return false;
	}
	return true;
}

static bool make_outside(const struct receiver_settings *settings, struct outside **ret_outside,
                         struct error *error)
{
	size_t count = 0;
	struct outside *outside = calloc(1, sizeof *outside);
	if (outside == NULL)
		return error_set(error, "out of memory");
	bool good = add_preset_headers(settings, outside, &count, error) &&
	            add_headers(settings, outside, &count, error) &&
	            add_bearer(settings->bearer_token_file, outside, &count, error);
	if (good && settings->ca_file != NULL) {
		outside->ca_file = strdup(settings->ca_file);
		good = outside->ca_file != NULL || error_set(error, "out of memory");
	}
	if (!good) {
		outside_free(outside);
		return false;
	}
	*ret_outside = outside;
	return true;
}

/* ---- The request ---- */

static bool make_url(const struct receiver_settings *settings, struct buffer *url,
                     struct error *error)
{
	if (!read_value(&settings->url, url, error))
		return false;
	return receiver_url_check(buffer_text(url), error) ||
	       error_wrap(error, "%s",
	                  settings->url.value_file == NULL ? "url" : settings->url.value_file);
}

bool receiver_request_with(const struct receiver_settings *settings, char *body, size_t length,
                           struct request *ret_request, struct error *error)
{
	struct buffer _cleanup_buffer_ url;
	struct outside *outside = NULL;
	buffer_init_secret(&url, VALUE_MAX);
	if (body == NULL)
		return error_set(error, "out of memory");
	if (!make_url(settings, &url, error) || !make_outside(settings, &outside, error)) {
		free(body);
		return false;
	}
	char *path = buffer_steal(&url);
	if (path == NULL) {
		free(body);
		outside_free(outside);
		return error_set(error, "out of memory");
	}
	*ret_request = (struct request){
	        .kube = {.method = "POST",
	                 .path = path,
	                 .content_type = payload_content_type(settings),
	                 .body = body,
	                 .body_length = length,
	                 .timeout = settings->timeout},
	        .outside = outside,
	        .priority = REQUEST_URGENT,
	};
	return true;
}

/* The attributes of CloudEvents in binary mode. */
static bool add_notice_headers(const struct notice *notice, struct outside *outside,
                               struct error *error)
{
	size_t count = 0;
	while (outside->headers[count] != NULL)
		count++;
	for (size_t i = 0;; i++) {
		struct buffer _cleanup_buffer_ line;
		buffer_init(&line, VALUE_MAX);
		if (!payload_header(notice, i, &line))
			return true;
		if (!add_line(outside, &count, &line, error))
			return false;
	}
}

bool receiver_request_make(const struct receiver_settings *settings, const struct notice *notices,
                           size_t count, int64_t wall, struct request *ret_request,
                           struct error *error)
{
	struct buffer _cleanup_buffer_ body;
	struct request request = {.outside = NULL};
	buffer_init(&body, PAYLOAD_MAX);
	payload_write(notices, count, wall, &body);
	size_t length = body.length;
	if (!receiver_request_with(settings, buffer_steal(&body), length, &request, error) ||
	    request.outside == NULL)
		return false;
	if (add_notice_headers(&notices[0], request.outside, error)) {
		*ret_request = request;
		return true;
	}
	free((void *)(uintptr_t)request.kube.path);
	free((void *)(uintptr_t)request.kube.body);
	outside_free(request.outside);
	return false;
}
