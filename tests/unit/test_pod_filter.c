/* What the observer keeps of a pod: it fits, whatever the pod; and it is all that is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/document/json_stream.h"
#include "observer/pod/pod.h"
#include "observer/pod/pod_filter.h"

static char storage[POD_FILTER_STORAGE];

struct kept {
	char *text;
	bool cut;
};

static bool take(void *context, const struct json_piece *piece)
{
	struct kept *kept = context;
	free(kept->text);
	kept->text = strdup(piece->text);
	kept->cut = piece->cut;
	return !piece->element;
}

static struct kept keep(const struct json_filter *filter, const char *text)
{
	struct json_stream stream;
	struct error error;
	struct kept kept = {.text = NULL};
	assert_true(json_stream_init(&stream, filter, POD_FILTER_EXTRA_MAX, storage, sizeof storage,
	                             &error));
	json_stream_feed(&stream, text, strlen(text), take, &kept, &error);
	assert_false(json_stream_failed(&stream));
	assert_non_null(kept.text);
	return kept;
}

static void test_the_filters_fit_their_storage(void **state)
{
	(void)state;
	size_t list = json_filter_bound(pod_list_filter, POD_FILTER_EXTRA_MAX);
	size_t watch = json_filter_bound(pod_watch_filter, POD_FILTER_EXTRA_MAX);
	assert_true(list > 0 && list < POD_FILTER_STORAGE);
	assert_true(watch > 0 && watch < POD_FILTER_STORAGE);
}

/* Every member of the filter as long and as often as it is kept, and once more. */
static void write_worst(struct buffer *out, const struct json_filter *members, bool tiny)
{
	bool first = true;
	buffer_append_char(out, '{');
	for (const struct json_filter *m = members; m->key != NULL; m++) {
		bool array = m->elements_max > 0 || m->each;
		bool name = m->only_in == NULL && strcmp(m->key, "name") == 0;
		for (size_t i = 0; i < (array ? m->elements_max + 1 : 1); i++) {
			if (i == 0)
				buffer_printf(out, "%s\"%s\":%s", first ? "" : ",", m->key,
				              array ? "[" : "");
			else
				buffer_append_char(out, ',');
			first = false;
			if (m->members != NULL)
				write_worst(out, m->members, tiny);
			else if (name)
				buffer_append_text(out, "\"lastword-watchdog\"");
			else
				buffer_printf(out, "\"%*s\"",
				              tiny || array ? 0 : (int)json_filter_text_max(m), "");
		}
		if (array)
			buffer_append_char(out, ']');
	}
	buffer_append_char(out, '}');
}

/* Long texts, and as many empty ones as possible, which make the largest tree of each byte. */
static void test_the_largest_tree_fits_the_arena(void **state)
{
	(void)state;
	for (int tiny = 0; tiny < 2; tiny++) {
		struct arena *arena = arena_new(POD_FILTER_ARENA);
		struct buffer worst;
		struct pod pod;
		json *root;
		buffer_init(&worst, (size_t)64 << 20);
		write_worst(&worst, pod_watch_filter, tiny);
		assert_true(buffer_ok(&worst));
		struct kept kept = keep(pod_watch_filter, worst.data);
		assert_true(kept.cut);
		assert_int_not_equal(
		        json_parse(arena, kept.text, strlen(kept.text), 0, &root, NULL),
		        JSON_INVALID);
		assert_true(pod_read(arena, json_get(root, "object"), &pod, NULL));
		free(kept.text);
		buffer_free(&worst);
		arena_free(arena);
	}
}

/* Unneeded parts of any size are passed by; what is too large itself is left out, and told. */
static void test_what_a_tenant_may_write(void **state)
{
	static const char *const inside[][2] = {
	        {"\"args\":[\"%s\"]", ""},
	        {"\"env\":[{\"name\":\"A\",\"value\":\"%s\"}]", ""},
	        {"\"command\":[\"%s\"]", ""},
	        {"\"command\":[\"a\"],\"x\":{\"%s\":[]}", ""},
	        {"\"restartPolicy\":\"%s\"", "cut"},
	};
	(void)state;
	char *large = malloc(1000001);
	char *text = malloc(1100000);
	memset(large, 'x', 1000000);
	large[1000000] = '\0';
	for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++) {
		struct arena *arena = arena_new(POD_FILTER_ARENA);
		struct pod pod;
		json *root;
		int length = sprintf(
		        text,
		        "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"namespace\":\"n\","
		        "\"name\":\"p\",\"uid\":\"u\",\"annotations\":{\"%s\":\"\"}},\"spec\":"
		        "{\"containers\":[{\"name\":\"main\",",
		        i == 0 ? "other" : "x");
		length += sprintf(text + length, inside[i][0], large);
		sprintf(text + length,
		        "}]},\"status\":{\"containerStatuses\":[{\"name\":\"main\","
		        "\"restartCount\":3,\"state\":{\"terminated\":{\"exitCode\":7}}}]}}}");
		struct kept kept = keep(pod_watch_filter, text);
		assert_int_equal(kept.cut, inside[i][1][0] != '\0');
		assert_true(strlen(kept.text) < 1000);
		json_parse(arena, kept.text, strlen(kept.text), 0, &root, NULL);
		assert_true(pod_read(arena, json_get(root, "object"), &pod, NULL));
		assert_int_equal(pod.agent_count, 1);
		int64_t code;
		assert_true(json_integer(
		        json_find(pod.agents[0].status, "state", "terminated", "exitCode", NULL),
		        &code));
		assert_int_equal(code, 7);
		free(kept.text);
		arena_free(arena);
	}
	free(large);
	free(text);
}

static void test_an_error_event_is_kept(void **state)
{
	(void)state;
	struct kept kept =
	        keep(pod_watch_filter,
	             "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"metadata\":{},"
	             "\"status\":\"Failure\",\"message\":\"old\",\"reason\":\"Expired\","
	             "\"code\":410}}");
	assert_string_equal(kept.text,
	                    "{\"type\":\"ERROR\",\"object\":{\"metadata\":{},\"status\":null,"
	                    "\"reason\":\"Expired\",\"code\":410}}");
	free(kept.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_the_filters_fit_their_storage),
	        cmocka_unit_test(test_the_largest_tree_fits_the_arena),
	        cmocka_unit_test(test_what_a_tenant_may_write),
	        cmocka_unit_test(test_an_error_event_is_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
