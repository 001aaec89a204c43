/* The last two looks before a patch is sent: it is applied as strictly as the API server does it,
 * and the patched pod is checked. Both as tables: what is refused, and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buffer.h"
#include "webhook/patch.h"
#include "webhook/verify.h"

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_new((size_t)16 * 1024 * 1024);
	return arena == NULL;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

static json *parse(const char *text)
{
	json *root = NULL;
	struct error error = {""};
	if (json_parse(arena, text, strlen(text), 0, &root, &error) != JSON_FAITHFUL)
		fail_msg("%s: %s", text, error.message);
	return root;
}

/* ---- Applying ---- */

#define DOCUMENT "{\"a\":{\"b\":1,\"x/y~z\":2},\"list\":[1,2,3],\"null\":null,\"text\":\"t\"}"

static const struct {
	const char *kind;
	const char *path;
	const char *expected; /* the document after; NULL: refused */
	const char *says;
} operations[] = {
        {"add", "/a/c",
         "{\"a\":{\"b\":1,\"x/y~z\":2,\"c\":9},\"list\":[1,2,3],\"null\":null,\"text\":\"t\"}",
         NULL},
        {"add", "/a/b",
         "{\"a\":{\"b\":9,\"x/y~z\":2},\"list\":[1,2,3],\"null\":null,\"text\":\"t\"}", NULL},
        {"replace", "/a/x~1y~0z",
         "{\"a\":{\"b\":1,\"x/y~z\":9},\"list\":[1,2,3],\"null\":null,\"text\":\"t\"}", NULL},
        {"add", "/list/-",
         "{\"a\":{\"b\":1,\"x/y~z\":2},\"list\":[1,2,3,9],\"null\":null,\"text\":\"t\"}", NULL},
        {"add", "/list/0",
         "{\"a\":{\"b\":1,\"x/y~z\":2},\"list\":[9,1,2,3],\"null\":null,\"text\":\"t\"}", NULL},
        {"add", "/list/3",
         "{\"a\":{\"b\":1,\"x/y~z\":2},\"list\":[1,2,3,9],\"null\":null,\"text\":\"t\"}", NULL},
        {"replace", "/list/1",
         "{\"a\":{\"b\":1,\"x/y~z\":2},\"list\":[1,9,3],\"null\":null,\"text\":\"t\"}", NULL},
        {"replace", "/null",
         "{\"a\":{\"b\":1,\"x/y~z\":2},\"list\":[1,2,3],\"null\":9,\"text\":\"t\"}", NULL},
        {"add", "/",
         "{\"a\":{\"b\":1,\"x/y~z\":2},\"list\":[1,2,3],\"null\":null,\"text\":\"t\",\"\":9}",
         NULL},
        {"add", "/missing/c", NULL, "there is no \"missing\""},
        {"add", "/null/c", NULL, "\"c\" cannot be set there"},
        {"add", "/text/c", NULL, "\"c\" cannot be set there"},
        {"replace", "/a/c", NULL, "\"c\" cannot be set there"},
        {"replace", "/list/3", NULL, "\"3\" cannot be set there"},
        {"replace", "/list/-", NULL, "\"-\" cannot be set there"},
        {"add", "/list/4", NULL, "\"4\" cannot be set there"},
        {"add", "/list/01", NULL, "\"01\" cannot be set there"},
        {"add", "/list/+1", NULL, "\"+1\" cannot be set there"},
        {"add", "/list/-1", NULL, "\"-1\" cannot be set there"},
        {"add", "/list/-/x", NULL, "there is no \"-\""},
        {"add", "/list/9999999999", NULL, "cannot be set there"},
        {"add", "", NULL, "not a pointer"},
        {"add", "a", NULL, "not a pointer"},
};

static void test_operations(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
		struct patch patch;
		struct error error = {""};
		json *document = parse(DOCUMENT);
		patch_init(&patch, arena);
		patch_add(&patch, json_new_integer(arena, 9), "x", NULL);
		patch.operations[0].kind = operations[i].kind;
		patch.operations[0].path = operations[i].path;
		bool applied = patch_apply(&patch, document, &error);
		if (applied != (operations[i].expected != NULL))
			fail_msg("%s %s: %s", operations[i].kind, operations[i].path,
			         error.message);
		if (!applied && strstr(error.message, operations[i].says) == NULL)
			fail_msg("%s %s: got %s", operations[i].kind, operations[i].path,
			         error.message);
		struct buffer text;
		buffer_init(&text, 10000);
		json_print(&text, document, 0);
		assert_string_equal(buffer_text(&text),
		                    applied ? operations[i].expected : DOCUMENT);
		buffer_free(&text);
	}
}

/* What a patch has set is longer by a later operation; deeper in it nothing may be changed, since
 * the patch that is sent shares it. */
static void test_values_are_shared(void **state)
{
	(void)state;
	struct patch patch;
	struct error error = {""};
	json *document = parse("{}");
	patch_init(&patch, arena);
	patch_add(&patch, parse("[{\"a\":[1]}]"), "list", NULL);
	patch_add(&patch, parse("{\"b\":2}"), "list", "-", NULL);
	struct buffer text;
	buffer_init(&text, 10000);
	assert_true(patch_apply(&patch, document, &error));
	json_print(&text, document, 0);
	assert_string_equal(buffer_text(&text), "{\"list\":[{\"a\":[1]},{\"b\":2}]}");
	buffer_clear(&text);
	patch_print(&patch, "", &text);
	assert_string_equal(buffer_text(&text),
	                    "[{\"op\":\"add\",\"path\":\"/list\",\"value\":[{\"a\":[1]}]},"
	                    "{\"op\":\"add\",\"path\":\"/list/-\",\"value\":{\"b\":2}}]");
	buffer_free(&text);

	patch_add(&patch, parse("3"), "list", "0", "a", "-", NULL);
	assert_false(patch_apply(&patch, parse("{}"), &error));
	assert_non_null(strstr(error.message, "inside of what the patch itself has set"));
}

static void test_a_patch_that_failed_is_not_applied(void **state)
{
	(void)state;
	struct patch patch;
	struct error error;
	char token[4000];
	memset(token, 'k', sizeof token - 1);
	token[sizeof token - 1] = '\0';
	patch_init(&patch, arena);
	patch_add(&patch, json_new_integer(arena, 1), "a", NULL);
	assert_false(patch.failed);
	patch_add(&patch, NULL, "b", NULL);
	assert_true(patch.failed);
	assert_false(patch_apply(&patch, parse("{}"), &error));

	patch_init(&patch, arena);
	patch_add(&patch, json_new_integer(arena, 1), token, NULL);
	assert_true(patch.failed); /* a path that is too long */
	assert_int_equal(patch.count, 0);
}

static void test_pointers_are_escaped(void **state)
{
	(void)state;
	struct patch patch;
	struct error error;
	patch_init(&patch, arena);
	patch_add(&patch, json_new_object(arena), "a~/b", NULL);
	patch_replace(&patch, json_new_string(arena, "\""), "a~/b", NULL);
	struct buffer text;
	buffer_init(&text, 10000);
	patch_print(&patch, "/items/0", &text);
	assert_string_equal(
	        buffer_text(&text),
	        "[{\"op\":\"add\",\"path\":\"/items/0/a~0~1b\",\"value\":{}},"
	        "{\"op\":\"replace\",\"path\":\"/items/0/a~0~1b\",\"value\":\"\\\"\"}]");
	buffer_free(&text);
	json *document = parse("{}");
	assert_true(patch_apply(&patch, document, &error));
	assert_string_equal(json_get_string(document, "a~/b"), "\"");
}

/* ---- The patched pod ---- */

static const struct {
	const char *spec;
	const char *says; /* NULL: good */
} pods[] = {
        {"'containers':[{'name':'a'},{'name':'b'}],'initContainers':[{'name':'c'}]", NULL},
        {"'containers':[{'name':'a'},{'name':'a'}]", "container \"a\": the name is taken"},
        {"'containers':[{'name':'a'}],'initContainers':[{'name':'a'}]", "the name is taken"},
        {"'containers':[{'name':'a'}],'ephemeralContainers':[{'name':'a'}]", "the name is taken"},
        {"'containers':[{'name':''}]", "a container without a name"},
        {"'containers':[{}]", "a container without a name"},
        {"'containers':[{'name':'a'}],'volumes':[{'name':'v'},{'name':'v'}]",
         "two volumes named \"v\""},
        {"'containers':[{'name':'a','volumeMounts':[{'name':'lastword','mountPath':'/lastword'}]}]",
         "volumeMount lastword: no such volume"},
        {"'containers':[{'name':'a','volumeMounts':[{'name':'lastword','mountPath':'/lastword'}]}],"
         "'volumes':[{'name':'lastword'}]",
         NULL},
        {"'containers':[{'name':'a','volumeMounts':[{'name':'claim','mountPath':'/data'}]}]", NULL},
        {"'containers':[{'name':'a','volumeMounts':[{'name':'v','mountPath':'/x'},"
         "{'name':'w','mountPath':'/x'}]}],'volumes':[{'name':'v'},{'name':'w'}]",
         "two volumeMounts or devices at /x"},
        {"'containers':[{'name':'a','volumeMounts':[{'name':'v','mountPath':'/x'}],"
         "'volumeDevices':[{'name':'w','devicePath':'/x'}]}]",
         "two volumeMounts or devices at /x"},
        {"'containers':[{'name':'a','resources':{'limits':{'memory':'1Gi'},"
         "'requests':{'memory':'1025Mi'}}}]",
         "limit of memory below its request"},
        {"'containers':[{'name':'a','resources':{'limits':{'memory':'1Gi'},"
         "'requests':{'memory':'1024Mi','cpu':'8'}}}]",
         NULL},
        {"'containers':[{'name':'a','resources':{'limits':{'cpu':'x'},'requests':{'cpu':'1'}}}]",
         "resources of cpu: expected a quantity"},
        {"'containers':[{'name':'a','command':['x',1]}]", "command is not a list of strings"},
        {"'containers':[{'name':'a','command':[]}]", NULL},
        {"'containers':[{'name':'a','lifecycle':{'preStop':{}}}]", "preStop has 0 handlers"},
        {"'containers':[{'name':'a','lifecycle':{'preStop':{'exec':{'command':['x']},"
         "'sleep':{'seconds':1}}}}]",
         "preStop has 2 handlers"},
        {"'containers':[{'name':'a','lifecycle':{'preStop':{'exec':{'command':['x']},"
         "'sleep':null}}}]",
         NULL},
        {"'containers':[{'name':'a','lifecycle':{'preStop':{'exec':{'command':[]}}}}]",
         "preStop.exec.command is not a list of strings"},
};

static json *pod_of(const char *spec)
{
	char text[2000];
	snprintf(text, sizeof text, "{'metadata':{},'spec':{%s}}", spec);
	for (char *c = text; *c != '\0'; c++)
		if (*c == '\'')
			*c = '"';
	return parse(text);
}

static void test_pods(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof pods / sizeof pods[0]; i++) {
		struct error error = {""};
		bool good = verify_pod(arena, pod_of(pods[i].spec), &error);
		if (good != (pods[i].says == NULL))
			fail_msg("%s: %s", pods[i].spec, good ? "taken" : error.message);
		if (!good && strstr(error.message, pods[i].says) == NULL)
			fail_msg("%s: got %s", pods[i].spec, error.message);
	}
}

static void test_annotations_have_a_size(void **state)
{
	(void)state;
	const size_t most = 256 * 1024; /* keys and values together */
	struct error error;
	for (size_t more = 0; more < 2; more++) {
		json *pod = parse("{\"metadata\":{\"annotations\":{}},\"spec\":{}}");
		char *value = arena_allocate(arena, most + 1);
		assert_non_null(value);
		memset(value, 'v', most - 3 + more);
		assert_true(json_add_member(arena, json_find(pod, "metadata", "annotations", NULL),
		                            "key", json_new_string(arena, value)));
		assert_int_equal(verify_pod(arena, pod, &error), more == 0);
	}
	assert_string_equal(error.message, "the annotations have more than 262144 bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_operations),
	        cmocka_unit_test(test_values_are_shared),
	        cmocka_unit_test(test_a_patch_that_failed_is_not_applied),
	        cmocka_unit_test(test_pointers_are_escaped),
	        cmocka_unit_test(test_pods),
	        cmocka_unit_test(test_annotations_have_a_size),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
