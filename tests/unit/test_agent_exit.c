/* The record: the table and the CRD are the same, the API server never refuses what is written,
 * names are DNS subdomains, different for different terminations. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/kube/agent_exit.h"
#include "lib/base/buffer.h"
#include "lib/base/files.h"
#include "lib/base/utf8.h"
#include "lib/document/yaml.h"

struct crd {
	struct arena *arena;
	json *schema; /* openAPIV3Schema */
};

static int load_crd(void **state)
{
	static struct crd crd;
	struct error error;
	struct buffer text;
	struct yaml_document *document;
	buffer_init(&text, 1 << 20);
	crd.arena = arena_new((size_t)16 << 20);
	assert_true(file_read("manifests/base/crd.yaml", &text, &error));
	if (!yaml_parse_one(crd.arena, text.data, text.length, &document, &error))
		fail_msg("%s", error.message);
	buffer_free(&text);
	json *version = json_at(json_find(document->root, "spec", "versions", NULL), 0);
	crd.schema = json_find(version, "schema", "openAPIV3Schema", NULL);
	assert_non_null(crd.schema);
	*state = &crd;
	return 0;
}

static int free_crd(void **state)
{
	arena_free(((struct crd *)*state)->arena);
	return 0;
}

static bool is_required(const json *schema, const char *key)
{
	for (json *n = json_first(json_get(schema, "required")); n != NULL; n = json_next(n))
		if (json_string_is(n, key))
			return true;
	return false;
}

static const char *const types[] = {
        [AGENT_EXIT_TEXT] = "string",      [AGENT_EXIT_TEXT_END] = "string",
        [AGENT_EXIT_INTEGER] = "integer",  [AGENT_EXIT_COUNT] = "integer",
        [AGENT_EXIT_BOOL] = "boolean",     [AGENT_EXIT_TIME] = "string",
        [AGENT_EXIT_SECONDS] = "number",   [AGENT_EXIT_CONTEXT] = "object",
        [AGENT_EXIT_CONTAINERS] = "array",
};

static void test_table_and_crd_are_the_same(void **state)
{
	const struct crd *crd = *state;
	const json *spec = json_find(crd->schema, "properties", "spec", NULL);
	const json *property = json_first(json_get(spec, "properties"));
	size_t count;
	const struct agent_exit_field *fields = agent_exit_fields(&count);
	assert_int_equal(json_size(json_get(spec, "properties")), count);
	for (size_t i = 0; i < count; i++, property = json_next(property)) {
		int64_t number = -1;
		assert_string_equal(json_key(property), fields[i].name);
		assert_string_equal(json_get_string_or(property, "type", ""),
		                    types[fields[i].type]);
		assert_int_equal(is_required(spec, fields[i].name), fields[i].required);
		const json *limited = fields[i].type == AGENT_EXIT_CONTEXT
		                              ? json_get(property, "additionalProperties")
		                      : fields[i].type == AGENT_EXIT_CONTAINERS
		                              ? json_get(property, "items")
		                              : property;
		if (fields[i].limit > 0) {
			assert_true(json_integer(json_get(limited, "maxLength"), &number));
			assert_int_equal(number, fields[i].limit);
		}
		if (fields[i].type == AGENT_EXIT_COUNT || fields[i].type == AGENT_EXIT_SECONDS)
			assert_true(json_integer(json_get(property, "minimum"), &number) &&
			            number == 0);
		if (fields[i].type == AGENT_EXIT_TIME)
			assert_true(json_string_is(json_get(property, "format"), "date-time"));
	}
}

/* snake_case as camelCase. */
static void camel_case(const char *key, char ret_name[64])
{
	size_t length = 0;
	for (const char *c = key; *c != '\0'; c++)
		ret_name[length++] = *c != '_' ? *c : (char)toupper((unsigned char)*++c);
	ret_name[length] = '\0';
}

static void test_both_names_of_a_field(void **state)
{
	(void)state;
	size_t count;
	const struct agent_exit_field *fields = agent_exit_fields(&count);
	for (size_t i = 0; i < count; i++) {
		char name[64];
		bool context = fields[i].origin == AGENT_EXIT_FROM_CONTEXT ||
		               fields[i].type == AGENT_EXIT_CONTEXT;
		camel_case(fields[i].key, name);
		assert_string_equal(fields[i].name, name);
		assert_int_equal(agent_exit_key_reserved(fields[i].key), !context);
	}
	assert_true(agent_exit_key_reserved("event"));
	assert_false(agent_exit_key_reserved("exitCode"));
	assert_false(agent_exit_key_reserved(""));
}

static void test_context_has_its_fields(void **state)
{
	(void)state;
	struct agent_exit exit;
	agent_exit_init(&exit);
	agent_exit_add_context(&exit, "task_id", "T-1");
	agent_exit_add_context(&exit, "workflow_id", "nightly");
	agent_exit_add_context(&exit, "agent", "coder");
	agent_exit_add_context(&exit, "taskId", "as the user wrote it");
	assert_string_equal(exit.task_id, "T-1");
	assert_string_equal(exit.workflow_id, "nightly");
	assert_string_equal(exit.agent, "coder");
	assert_int_equal(exit.context_count, 1);
	assert_string_equal(exit.context[0].key, "taskId");
	for (size_t i = 0; i < AGENT_EXIT_CONTEXT_MAX; i++)
		agent_exit_add_context(&exit, "team", "a");
	assert_int_equal(exit.context_count, AGENT_EXIT_CONTEXT_MAX);
}

/* ---- A validator of what the schema uses ---- */

static size_t characters(const char *text)
{
	size_t count = 0;
	for (size_t rest = strlen(text), step; rest > 0; rest -= step, text += step, count++) {
		step = utf8_sequence(text, rest);
		assert_true(step > 0);
	}
	return count;
}

static size_t limit_of(const json *schema, const char *key)
{
	int64_t limit;
	assert_true(json_integer(json_get(schema, key), &limit));
	return (size_t)limit;
}

static void validate(const json *schema, const json *node);

static void validate_object(const json *schema, const json *node)
{
	const json *free_form = json_get(schema, "additionalProperties");
	assert_true(json_is_object(node));
	for (json *n = json_first(json_get(schema, "required")); n != NULL; n = json_next(n))
		assert_non_null(json_get(node, json_string(n)));
	if (free_form != NULL)
		assert_true(json_size(node) <= limit_of(schema, "maxProperties"));
	if (free_form == NULL && json_get(schema, "properties") == NULL)
		return; /* metadata */
	for (json *n = json_first(node); n != NULL; n = json_next(n)) {
		const json *property = json_find(schema, "properties", json_key(n), NULL);
		assert_non_null(property == NULL ? free_form : property);
		validate(property == NULL ? free_form : property, n);
	}
}

static void validate(const json *schema, const json *node)
{
	const char *type = json_get_string_or(schema, "type", "");
	int64_t integer;
	if (strcmp(type, "object") == 0) {
		validate_object(schema, node);
	} else if (strcmp(type, "array") == 0) {
		assert_true(json_is_array(node));
		assert_true(json_size(node) <= limit_of(schema, "maxItems"));
		for (json *n = json_first(node); n != NULL; n = json_next(n))
			validate(json_get(schema, "items"), n);
	} else if (strcmp(type, "string") == 0) {
		assert_true(json_is_string(node));
		assert_true(characters(json_string(node)) <= limit_of(schema, "maxLength"));
	} else if (strcmp(type, "boolean") == 0) {
		assert_true(json_is_bool(node));
	} else if (strcmp(type, "integer") == 0) {
		assert_true(json_integer(node, &integer));
		assert_true(json_get(schema, "minimum") == NULL || integer >= 0);
	} else {
		assert_string_equal(type, "number");
		assert_true(json_is_number(node));
	}
}

/* Every string, array and map of the schema has a limit. */
static void assert_limited(const json *schema)
{
	const char *type = json_get_string_or(schema, "type", "");
	if (strcmp(type, "string") == 0)
		limit_of(schema, "maxLength");
	if (strcmp(type, "array") == 0) {
		limit_of(schema, "maxItems");
		assert_limited(json_get(schema, "items"));
	}
	if (json_get(schema, "additionalProperties") != NULL) {
		limit_of(schema, "maxProperties");
		assert_limited(json_get(schema, "additionalProperties"));
	}
	for (json *n = json_first(json_get(schema, "properties")); n != NULL; n = json_next(n))
		assert_limited(n);
}

static void test_everything_in_the_schema_has_a_limit(void **state)
{
	const struct crd *crd = *state;
	assert_limited(crd->schema);
}

/* ---- Writing and reading ---- */

static json *write_and_parse(struct arena *arena, const struct agent_exit *exit, bool status)
{
	struct buffer out;
	struct error error;
	json *root = NULL;
	buffer_init(&out, AGENT_EXIT_SIZE_MAX);
	if (status)
		agent_exit_write_status(exit, &out);
	else
		agent_exit_write(exit, &out);
	assert_true(buffer_ok(&out));
	if (json_parse(arena, out.data, out.length, 0, &root, &error) != JSON_FAITHFUL)
		fail_msg("%s", error.message);
	buffer_free(&out);
	return root;
}

static void fill_required(struct agent_exit *exit)
{
	agent_exit_init(exit);
	exit->pod = "coder-7f9";
	exit->namespace = "agents";
	exit->uid = "482ceb03-5110-4436-8a54-a9d35ad157af";
	exit->container = "main";
	exit->restart_count = 0;
	exit->error_type = "Panic";
	exit->source = AGENT_EXIT_SOURCE_KUBELET;
}

static void test_the_least_record(void **state)
{
	const struct crd *crd = *state;
	struct agent_exit exit;
	struct buffer out;
	fill_required(&exit);
	validate(crd->schema, write_and_parse(crd->arena, &exit, false));
	buffer_init(&out, AGENT_EXIT_SIZE_MAX);
	agent_exit_write(&exit, &out);
	assert_string_equal(
	        buffer_text(&out),
	        "{\"apiVersion\":\"lastword.dev/v1alpha1\",\"kind\":\"AgentExit\",\"metadata\":{"
	        "\"name\":\"coder-7f9.482ceb03.main.0\",\"namespace\":\"agents\",\"labels\":{"
	        "\"lastword.dev/cause\":\"Panic\",\"lastword.dev/container\":\"main\","
	        "\"lastword.dev/identity\":\"316364db92e7ec78\",\"lastword.dev/"
	        "pod\":\"coder-7f9\"}},"
	        "\"spec\":{\"pod\":\"coder-7f9\",\"namespace\":\"agents\","
	        "\"uid\":\"482ceb03-5110-4436-8a54-a9d35ad157af\",\"container\":\"main\","
	        "\"restartCount\":0,\"errorType\":\"Panic\",\"final\":false,"
	        "\"source\":\"kubelet\"}}");
	buffer_free(&out);
}

static void assert_same_agent(const struct agent_exit *a, const struct agent_exit *b, bool same)
{
	char one[AGENT_EXIT_IDENTITY_SIZE];
	char other[AGENT_EXIT_IDENTITY_SIZE];
	agent_exit_identity(a, one);
	agent_exit_identity(b, other);
	assert_int_equal(strlen(one), AGENT_EXIT_IDENTITY_SIZE - 1);
	assert_int_equal(strcmp(one, other) == 0, same);
}

static void test_the_same_agent(void **state)
{
	(void)state;
	struct agent_exit a;
	fill_required(&a);
	a.owner = "Job/nightly-28412345";
	a.agent = "coder";
	struct agent_exit b = a;
	b.owner = "Job/nightly-28412346";
	b.pod = "other";
	b.uid = "1";
	b.restart_count = 7;
	b.error_type = "Error";
	assert_same_agent(&a, &b, true);
	a.workflow_id = b.workflow_id = "w-1";
	assert_same_agent(&a, &b, true);
	b.workflow_id = "w-2";
	assert_same_agent(&a, &b, false);
	/* A task says more than its workflow. */
	a.task_id = b.task_id = "t-1";
	assert_same_agent(&a, &b, true);
	b.task_id = "t-2";
	assert_same_agent(&a, &b, false);
	b = a;
	b.owner = "Job/hourly-28412346";
	assert_same_agent(&a, &b, false);
	b = a;
	b.container = "helper";
	assert_same_agent(&a, &b, false);
	b = a;
	b.agent = "reviewer";
	assert_same_agent(&a, &b, false);
	/* Without an owner a pod is on its own. */
	a.owner = b.owner = NULL;
	b = a;
	assert_same_agent(&a, &b, true);
	b.pod = "coder-7f9-2";
	assert_same_agent(&a, &b, false);
	/* A task and a workflow of the same name are different. */
	b = a;
	a.task_id = "x";
	b.task_id = NULL;
	b.workflow_id = "x";
	assert_same_agent(&a, &b, false);
}

/* 20,000 bytes: euro signs after one letter, so that no limit falls between two of them, then bytes
 * that are no UTF-8. */
static char *long_text(struct arena *arena)
{
	struct buffer text;
	buffer_init(&text, 20000);
	buffer_append_char(&text, 'x');
	for (int i = 0; i < 6664; i++)
		buffer_append_text(&text, "\xe2\x82\xac");
	while (text.length < 20000)
		buffer_append_char(&text, '\xff');
	char *copy = arena_copy(arena, text.data, text.length);
	buffer_free(&text);
	return copy;
}

static void fill_to_the_limits(struct agent_exit *exit, const char *text)
{
	static char keys[AGENT_EXIT_CONTEXT_MAX][8];
	size_t count;
	const struct agent_exit_field *fields = agent_exit_fields(&count);
	agent_exit_init(exit);
	for (size_t i = 0; i < count; i++) {
		void *place = (char *)exit + fields[i].offset;
		if (fields[i].type == AGENT_EXIT_TEXT || fields[i].type == AGENT_EXIT_TEXT_END)
			*(const char **)place = text;
		else if (fields[i].type == AGENT_EXIT_BOOL)
			*(bool *)place = true;
		else if (fields[i].type == AGENT_EXIT_CONTAINERS)
			exit->running_container_count = AGENT_EXIT_CONTAINERS_MAX;
		else if (fields[i].type != AGENT_EXIT_CONTEXT)
			*(int64_t *)place = INT64_C(9007199254740992);
	}
	for (size_t i = 0; i < AGENT_EXIT_CONTAINERS_MAX; i++)
		exit->running_containers[i] = text;
	exit->context_count = AGENT_EXIT_CONTEXT_MAX;
	for (size_t i = 0; i < AGENT_EXIT_CONTEXT_MAX; i++) {
		snprintf(keys[i], sizeof keys[i], "key_%zu", i);
		exit->context[i] = (struct agent_exit_context){keys[i], text};
	}
	exit->resolved_at = INT64_C(1790000000000000000);
	exit->condition_count = AGENT_EXIT_CONDITIONS_MAX;
	for (size_t i = 0; i < AGENT_EXIT_CONDITIONS_MAX; i++)
		exit->conditions[i] = (struct agent_exit_condition){keys[i], text, 1, text, text};
	exit->notification_count = AGENT_EXIT_NOTIFICATIONS_MAX;
	for (size_t i = 0; i < AGENT_EXIT_NOTIFICATIONS_MAX; i++)
		exit->notifications[i] =
		        (struct agent_exit_notification){keys[i], text, text, 1, 3, text};
}

static void test_what_is_written_fits_the_schema(void **state)
{
	const struct crd *crd = *state;
	static char control[20001];
	memset(control, 1, sizeof control - 1);
	const json *status = json_find(crd->schema, "properties", "status", NULL);
	char *cut = long_text(crd->arena);
	const char *const texts[] = {cut, control, "", cut + 1};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct agent_exit exit;
		fill_to_the_limits(&exit, texts[i]);
		validate(crd->schema, write_and_parse(crd->arena, &exit, false));
		json *patch = write_and_parse(crd->arena, &exit, true);
		validate(status, json_get(patch, "status"));
	}
}

static void test_cuts_keep_whole_characters(void **state)
{
	const struct crd *crd = *state;
	struct agent_exit exit;
	struct agent_exit back;
	fill_to_the_limits(&exit, long_text(crd->arena));
	assert_true(agent_exit_read(write_and_parse(crd->arena, &exit, false), &back, NULL));
	/* 512 = 1 + 170 * 3 + 1 */
	assert_int_equal(strlen(back.payload_snippet), 511);
	assert_memory_equal(back.payload_snippet, "x\xe2\x82\xac", 4);
	assert_null(strstr(back.payload_snippet, "\xef\xbf\xbd"));
	/* The tail keeps its end, which is not UTF-8 there; the 8192nd byte from the end is inside
	 * a euro sign. */
	assert_memory_equal(back.log_tail, "\xe2\x82\xac", 3);
	assert_string_equal(back.log_tail + strlen(back.log_tail) - 3, "\xef\xbf\xbd");
}

static void assert_same_text(const char *a, const char *b)
{
	assert_int_equal(a == NULL, b == NULL);
	if (a != NULL)
		assert_string_equal(a, b);
}

static void test_read_is_the_inverse_of_write(void **state)
{
	const struct crd *crd = *state;
	struct agent_exit exit;
	struct agent_exit back;
	size_t count;
	const struct agent_exit_field *fields = agent_exit_fields(&count);
	fill_required(&exit);
	exit.task_id = "T-1";
	exit.context[exit.context_count++] = (struct agent_exit_context){"service", "coder\n"};
	exit.exit_code = -5;
	exit.running_containers[exit.running_container_count++] = "proxy";
	exit.running_containers[exit.running_container_count++] = "logs";
	exit.started_at = INT64_C(1790000000123456000);
	exit.duration = INT64_C(61250000000);
	exit.cpu = 0;
	exit.log_tail = "one\ntwo\x1b[31m\n";
	assert_true(agent_exit_read(write_and_parse(crd->arena, &exit, false), &back, NULL));
	assert_string_equal(back.name, "coder-7f9.482ceb03.main.0");
	for (size_t i = 0; i < count; i++) {
		const char *a = (const char *)&exit + fields[i].offset;
		const char *b = (const char *)&back + fields[i].offset;
		if (fields[i].type == AGENT_EXIT_TEXT || fields[i].type == AGENT_EXIT_TEXT_END)
			assert_same_text(*(const char *const *)(const void *)a,
			                 *(const char *const *)(const void *)b);
		else if (fields[i].type == AGENT_EXIT_BOOL)
			assert_int_equal(*(const bool *)a, *(const bool *)b);
		else if (fields[i].type != AGENT_EXIT_CONTEXT &&
		         fields[i].type != AGENT_EXIT_CONTAINERS)
			assert_int_equal(*(const int64_t *)(const void *)a,
			                 *(const int64_t *)(const void *)b);
	}
	assert_int_equal(back.running_container_count, 2);
	assert_string_equal(back.running_containers[1], "logs");
	assert_int_equal(back.context_count, 1);
	assert_string_equal(back.context[0].key, "service");
	assert_string_equal(back.context[0].value, "coder\n");
}

static void test_status_is_read_back(void **state)
{
	const struct crd *crd = *state;
	struct agent_exit exit;
	struct agent_exit back;
	fill_required(&exit);
	exit.resolved_at = INT64_C(1790000000000000000);
	exit.conditions[exit.condition_count++] = (struct agent_exit_condition){
	        "Silent", "True", 2000000000, "OthersRun", "the container proxy still ran"};
	exit.notifications[exit.notification_count++] = (struct agent_exit_notification){
	        "event-pod", AGENT_EXIT_NOTIFICATION_FAILED, "coder-7f9.17", 1000000000, 3,
	        "no route"};
	json *object = write_and_parse(crd->arena, &exit, false);
	json *patch = write_and_parse(crd->arena, &exit, true);
	json_add_member(crd->arena, object, "status", json_get(patch, "status"));
	assert_true(agent_exit_read(object, &back, NULL));
	assert_int_equal(back.resolved_at, exit.resolved_at);
	assert_int_equal(back.condition_count, 1);
	assert_string_equal(back.conditions[0].type, "Silent");
	assert_string_equal(back.conditions[0].status, "True");
	assert_int_equal(back.conditions[0].last_transition_time, 2000000000);
	assert_string_equal(back.conditions[0].reason, "OthersRun");
	assert_string_equal(back.conditions[0].message, "the container proxy still ran");
	assert_int_equal(back.notification_count, 1);
	assert_string_equal(back.notifications[0].receiver, "event-pod");
	assert_string_equal(back.notifications[0].state, "Failed");
	assert_string_equal(back.notifications[0].id, "coder-7f9.17");
	assert_int_equal(back.notifications[0].time, 1000000000);
	assert_int_equal(back.notifications[0].attempts, 3);
	assert_string_equal(back.notifications[0].message, "no route");
	assert_ptr_equal(agent_exit_find_condition(&back, AGENT_EXIT_SILENT), &back.conditions[0]);
	assert_null(agent_exit_find_condition(&back, "Other"));
}

/* What is not known is not in the patch, so that it does not take anything away. */
static void test_a_patch_has_what_is_known(void **state)
{
	(void)state;
	struct agent_exit exit;
	struct buffer out;
	buffer_init(&out, 4096);
	fill_required(&exit);
	exit.resolved_at = INT64_C(1790000000000000000);
	agent_exit_write_status(&exit, &out);
	assert_string_equal(buffer_text(&out),
	                    "{\"status\":{\"resolvedAt\":\"2026-09-21T14:13:20.000000Z\"}}");
	buffer_clear(&out);
	exit.resolved_at = AGENT_EXIT_UNKNOWN;
	exit.resource_version = "17";
	agent_exit_write_status(&exit, &out);
	assert_string_equal(buffer_text(&out),
	                    "{\"metadata\":{\"resourceVersion\":\"17\"},\"status\":{}}");
	buffer_free(&out);
}

static void test_reading_what_is_not_so(void **state)
{
	static const struct {
		const char *text;
		const char *error; /* NULL: it is read */
	} cases[] = {
	        {"[]", "metadata.name is nothing, expected a string"},
	        {"{\"kind\":\"Pod\"}", "kind is \"Pod\", expected AgentExit"},
	        {"{\"metadata\":{\"name\":1}}", "metadata.name is number, expected a string"},
	        {"{\"metadata\":{\"name\":\"a\"},\"spec\":[]}",
	         "a: spec is array, expected an object"},
	        {"{\"metadata\":{\"name\":\"a\"},\"spec\":{\"pod\":1,\"exitCode\":\"x\","
	         "\"context\":[1,\"x\"],\"runningContainers\":[1,{}],\"durationSeconds\":-1,"
	         "\"cpuSeconds\":1e300,\"oomKills\":-2,\"startedAt\":\"yesterday\","
	         "\"restartCount\":1.5},\"status\":{\"resolvedAt\":1,"
	         "\"conditions\":[1,{\"type\":1}],\"notifications\":[1,{}]}}",
	         NULL},
	};
	const struct crd *crd = *state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct error error = {""};
		struct agent_exit exit = {.notification_count = 77};
		json *root;
		assert_int_equal(json_parse(crd->arena, cases[i].text, strlen(cases[i].text), 0,
		                            &root, &error),
		                 JSON_FAITHFUL);
		assert_int_equal(agent_exit_read(root, &exit, &error), cases[i].error == NULL);
		if (cases[i].error != NULL) {
			assert_string_equal(error.message, cases[i].error);
			assert_int_equal(exit.notification_count, 77);
			continue;
		}
		assert_null(exit.pod);
		assert_int_equal(exit.running_container_count, 0);
		assert_int_equal(exit.context_count, 0);
		assert_int_equal(exit.condition_count, 0);
		assert_int_equal(exit.notification_count, 0);
		const int64_t unknown[] = {exit.exit_code, exit.duration,   exit.cpu,
		                           exit.oom_kills, exit.started_at, exit.restart_count};
		for (size_t n = 0; n < sizeof unknown / sizeof unknown[0]; n++)
			assert_int_equal(unknown[n], AGENT_EXIT_UNKNOWN);
	}
}

/* ---- Names and labels ---- */

/* validation.IsDNS1123Subdomain of Kubernetes' apimachinery. */
static void assert_dns_subdomain(const char *name)
{
	size_t length = strlen(name);
	assert_in_range(length, 1, 253);
	assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-."), length);
	for (size_t i = 0; i < length; i++) {
		bool boundary =
		        i == 0 || i + 1 == length || name[i - 1] == '.' || name[i + 1] == '.';
		if (name[i] == '.')
			assert_false(i == 0 || i + 1 == length || name[i - 1] == '.' ||
			             name[i + 1] == '.');
		else if (boundary)
			assert_true(name[i] != '-');
	}
}

static void test_names(void **state)
{
	(void)state;
	static char long_pod[254];
	static char long_container[64];
	char name[AGENT_EXIT_NAME_SIZE];
	memset(long_pod, 'p', 253);
	long_pod[177] = '-'; /* where it is cut */
	memset(long_container, 'c', 63);

	agent_exit_name("nightly-28412345-x.y", "482ceb03-5110", "main", 12, true, name);
	assert_string_equal(name, "nightly-28412345-x.y.482ceb03.main.12");
	agent_exit_name("coder", "482ceb03-5110", "main", 0, false, name);
	assert_string_equal(name, "coder.482ceb03.main.never-0");
	agent_exit_name(NULL, NULL, NULL, AGENT_EXIT_UNKNOWN, true, name);
	assert_string_equal(name, "0.0.0.0");
	agent_exit_name(long_pod, "482ceb03", long_container, 0, true, name);
	assert_int_equal(strlen(name), 252);
	assert_dns_subdomain(name);
	assert_non_null(strstr(name, "p.482ceb03.cccc"));
	agent_exit_name(long_pod, "482ceb03", long_container, INT64_MAX, false, name);
	assert_in_range(strlen(name), 250, 253);
	assert_dns_subdomain(name);
}

static void test_any_bytes_give_a_name(void **state)
{
	(void)state;
	static const char alphabet[] = "a0-._Z\xff \n/";
	unsigned seed = 1;
	for (int round = 0; round < 20000; round++) {
		char texts[3][300];
		char name[AGENT_EXIT_NAME_SIZE];
		char label[AGENT_EXIT_LABEL_SIZE];
		for (size_t i = 0; i < 3; i++) {
			size_t length = (size_t)rand_r(&seed) % (round % 2 == 0 ? 6 : 299);
			for (size_t n = 0; n < length; n++)
				texts[i][n] =
				        alphabet[(size_t)rand_r(&seed) % (sizeof alphabet - 1)];
			texts[i][length] = '\0';
		}
		agent_exit_name(texts[0], texts[1], texts[2], rand_r(&seed), round % 3 == 0, name);
		assert_dns_subdomain(name);
		agent_exit_label_value(texts[0], label);
		size_t length = strlen(label);
		assert_in_range(length, 0, 63);
		assert_true(length == 0 || (label[0] != '-' && label[0] != '.' && label[0] != '_'));
		assert_true(length == 0 || strchr("-._", label[length - 1]) == NULL);
	}
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Texts that join to the same when the separator may be in them. */
static void test_different_ends_have_different_names(void **state)
{
	(void)state;
	static const char *const pods[] = {"a",          "a.11111111", "a.11111111.b",
	                                   "a-11111111", "a.never-1",  "a.b.11111111"};
	static const char *const uids[] = {"11111111-aaaa", "22222222-aaaa"};
	static const char *const containers[] = {"b", "11111111-b", "never-1", "0"};
	static char names[6 * 2 * 4 * 3 * 2][AGENT_EXIT_NAME_SIZE];
	size_t count = 0;
	for (size_t p = 0; p < 6; p++)
		for (size_t u = 0; u < 2; u++)
			for (size_t c = 0; c < 4; c++)
				for (int64_t n = 0; n < 3; n++)
					for (int started = 0; started < 2; started++)
						agent_exit_name(pods[p], uids[u], containers[c], n,
						                started == 1, names[count++]);
	assert_int_equal(count, sizeof names / sizeof names[0]);
	qsort(names, count, sizeof names[0], compare_names);
	for (size_t i = 1; i < count; i++)
		assert_string_not_equal(names[i - 1], names[i]);
}

static void test_label_values(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *value;
	} cases[] = {
	        {NULL, ""},
	        {"", ""},
	        {"---", ""},
	        {"coder", "coder"},
	        {"-a b/c_d.e-", "a_b_c_d.e"},
	        {"\xc3\xa9t\xc3\xa9", "t"},
	        {"123456789012345678901234567890123456789012345678901234567890123",
	         "123456789012345678901234567890123456789012345678901234567890123"},
	        {"12345678901234567890123456789012345678901234567890123456789012-4",
	         "12345678901234567890123456789012345678901234567890123456789012"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char value[AGENT_EXIT_LABEL_SIZE];
		agent_exit_label_value(cases[i].text, value);
		assert_string_equal(value, cases[i].value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_table_and_crd_are_the_same),
	        cmocka_unit_test(test_both_names_of_a_field),
	        cmocka_unit_test(test_context_has_its_fields),
	        cmocka_unit_test(test_everything_in_the_schema_has_a_limit),
	        cmocka_unit_test(test_the_least_record),
	        cmocka_unit_test(test_the_same_agent),
	        cmocka_unit_test(test_a_patch_has_what_is_known),
	        cmocka_unit_test(test_what_is_written_fits_the_schema),
	        cmocka_unit_test(test_cuts_keep_whole_characters),
	        cmocka_unit_test(test_read_is_the_inverse_of_write),
	        cmocka_unit_test(test_status_is_read_back),
	        cmocka_unit_test(test_reading_what_is_not_so),
	        cmocka_unit_test(test_names),
	        cmocka_unit_test(test_any_bytes_give_a_name),
	        cmocka_unit_test(test_different_ends_have_different_names),
	        cmocka_unit_test(test_label_values),
	};
	return cmocka_run_group_tests(tests, load_crd, free_crd);
}
