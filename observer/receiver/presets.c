#include "observer/receiver/presets.h"

#include <string.h>

static const char generic[] =
        "{\"id\":\"{{id}}\",\"status\":\"{{status}}\",\"severity\":\"{{severity}}\","
        "\"title\":\"{{title}}\",\"silent\":\"{{json silent}}\",\"similar\":\"{{json similar}}\","
        "\"command\":\"{{command}}\",\"record\":\"{{record}}\",\"time\":\"{{time}}\","
        "\"resolvedAt\":\"{{json resolvedAt}}\",\"namespace\":\"{{namespace}}\","
        "\"pod\":\"{{pod}}\",\"uid\":\"{{uid}}\",\"container\":\"{{container}}\","
        "\"restartCount\":\"{{json restartCount}}\",\"node\":\"{{json node}}\","
        "\"owner\":\"{{json owner}}\",\"agent\":\"{{json agent}}\","
        "\"taskId\":\"{{json taskId}}\",\"workflowId\":\"{{json workflowId}}\","
        "\"errorType\":\"{{errorType}}\",\"detail\":\"{{json detail}}\","
        "\"exitCode\":\"{{json exitCode}}\",\"signal\":\"{{json signal}}\","
        "\"summary\":\"{{json summary}}\",\"payloadSnippet\":\"{{json payloadSnippet}}\","
        "\"fingerprint\":\"{{json fingerprint}}\",\"source\":\"{{source}}\","
        "\"startedAt\":\"{{json startedAt}}\",\"finishedAt\":\"{{json finishedAt}}\","
        "\"durationSeconds\":\"{{json durationSeconds}}\"}";

static const char slack[] =
        "{\"text\":\"{{slack title}}\",\"blocks\":["
        "{\"type\":\"section\",\"text\":{\"type\":\"mrkdwn\","
        "\"text\":\"*{{slack title}}*\\n{{slack summary}}\"}},"
        "{\"type\":\"rich_text\",\"elements\":[{\"type\":\"rich_text_preformatted\","
        "\"elements\":[{\"type\":\"text\",\"text\":\"{{text}}\"}]}]},"
        "{\"type\":\"context\",\"elements\":[{\"type\":\"mrkdwn\","
        "\"text\":\"{{slack time}}  more of the same: {{similar}}  `{{slack command}}`\"}]}]}";

static const char teams[] =
        "{\"type\":\"message\",\"attachments\":[{"
        "\"contentType\":\"application/vnd.microsoft.card.adaptive\",\"content\":{"
        "\"$schema\":\"http://adaptivecards.io/schemas/adaptive-card.json\","
        "\"type\":\"AdaptiveCard\",\"version\":\"1.4\",\"msteams\":{\"width\":\"Full\"},\"body\":["
        "{\"type\":\"RichTextBlock\",\"inlines\":[{\"type\":\"TextRun\",\"text\":\"{{title}}\","
        "\"weight\":\"Bolder\",\"size\":\"Medium\"}]},"
        "{\"type\":\"RichTextBlock\",\"inlines\":[{\"type\":\"TextRun\",\"text\":\"{{text}}\","
        "\"fontType\":\"Monospace\"}]},"
        "{\"type\":\"FactSet\",\"facts\":["
        "{\"title\":\"Namespace\",\"value\":\"{{namespace}}\"},"
        "{\"title\":\"Pod\",\"value\":\"{{pod}}\"},"
        "{\"title\":\"Container\",\"value\":\"{{container}}\"},"
        "{\"title\":\"Time\",\"value\":\"{{time}}\"},"
        "{\"title\":\"More of the same\",\"value\":\"{{similar}}\"},"
        "{\"title\":\"More\",\"value\":\"{{command}}\"}]}]}}]}";

static const char pagerduty[] =
        "{\"routing_key\":\"{{parameters.routingKey}}\",\"event_action\":\"{{action}}\","
        "\"dedup_key\":\"lastword/{{namespace}}/{{identity}}\",\"client\":\"lastword\","
        "\"payload\":{\"summary\":\"{{title}}: {{summary}}\","
        "\"source\":\"{{namespace}}/{{pod}}\",\"severity\":\"{{severity}}\","
        "\"timestamp\":\"{{time}}\",\"component\":\"{{container}}\",\"group\":\"{{agent}}\","
        "\"class\":\"{{errorType}}\",\"custom_details\":{\"id\":\"{{id}}\","
        "\"record\":\"{{record}}\",\"exit_code\":\"{{json exitCode}}\","
        "\"text\":\"{{text}}\",\"similar\":\"{{json similar}}\",\"command\":\"{{command}}\"}}}";

static const char github_issue[] =
        "{\"title\":\"{{title}}\",\"labels\":[\"lastword\"],"
        "\"body\":\"{{fenced text}}\\n\\n| | |\\n|---|---|\\n"
        "| namespace | `{{namespace}}` |\\n| pod | `{{pod}}` |\\n"
        "| container | `{{container}}`, run {{restartCount}} |\\n"
        "| cause | `{{errorType}}` |\\n| exit code | `{{exitCode}}` |\\n"
        "| time | `{{time}}` |\\n| similar failures since the last issue | {{similar}} |\\n"
        "| record | `{{record}}` |\\n\\n    {{command}}\\n\"}";

static const char *const github_headers[] = {"Accept: application/vnd.github+json",
                                             "X-GitHub-Api-Version: 2022-11-28", NULL};

static const struct preset presets[] = {
        {.name = PRESET_DEFAULT, .body = generic, .resolvable = true},
        {.name = "slack", .body = slack, .resolvable = true},
        {.name = "teams", .body = teams, .resolvable = true},
        {.name = "pagerduty",
         .body = pagerduty,
         .url = "https://events.pagerduty.com/v2/enqueue",
         .parameter = "routingKey",
         .resolvable = true},
        {.name = "github-issue", .body = github_issue, .headers = github_headers},
};

const struct preset *preset_find(const char *name)
{
	for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++)
		if (strcmp(presets[i].name, name) == 0)
			return &presets[i];
	return NULL;
}

const char *preset_name(size_t number)
{
	return number < sizeof presets / sizeof presets[0] ? presets[number].name : NULL;
}
