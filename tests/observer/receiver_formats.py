"""What the services that receivers are made for document of the requests that they accept. Each check
gets a notification and returns what is wrong with it, or nothing."""
import json
import re

HEX = re.compile(r"[0-9a-f]+")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def no_more_keys(value, *keys):
    unknown = set(value) - set(keys)
    return f"unknown {sorted(unknown)}" if unknown else None


def content_type(notification, wanted="application/json"):
    found = notification.headers.get("Content-Type")
    return None if found == wanted else f"Content-Type {found}"


def first(*problems):
    return next((p for p in problems if p), None)


# ---- Slack: https://docs.slack.dev/reference/block-kit/blocks ----

def slack_text(text, kinds):
    if text.get("type") not in kinds or not 1 <= len(text.get("text", "")) <= 3000:
        return f"text object {text}"
    if text["type"] == "mrkdwn" and re.search(r"<|>|&(?!amp;|lt;|gt;)", text["text"]):
        return f"not escaped: {text['text']}"
    return None


def slack_block(block):
    if block["type"] == "section":
        return slack_text(block["text"], {"mrkdwn", "plain_text"})
    if block["type"] == "context":
        if not 1 <= len(block["elements"]) <= 10:
            return "context elements"
        return first(*(slack_text(e, {"mrkdwn", "plain_text"}) for e in block["elements"]))
    if block["type"] == "rich_text":
        for part in block["elements"]:
            if part["type"] != "rich_text_preformatted":
                return f"rich text {part}"
            for element in part["elements"]:
                if element["type"] != "text" or not element["text"]:
                    return f"rich text element {element}"
        return None
    return f"block {block['type']}"


def slack(notification):
    body = notification.body
    return first(content_type(notification), no_more_keys(body, "text", "blocks"),
                 None if body.get("text") else "no text",
                 None if len(body["blocks"]) <= 50 else "too many blocks",
                 *(slack_block(block) for block in body["blocks"]))


# ---- Teams: https://adaptivecards.io/explorer/, 28 KB a message ----

def teams_element(element):
    if element["type"] == "RichTextBlock":
        for run in element["inlines"]:
            if run["type"] != "TextRun" or not isinstance(run["text"], str) or not run["text"]:
                return f"inline {run}"
        return None
    if element["type"] == "FactSet":
        for fact in element["facts"]:
            if set(fact) != {"title", "value"} or not all(isinstance(v, str) for v in fact.values()):
                return f"fact {fact}"
        return None
    return f"element {element['type']}"


def teams(notification):
    body = notification.body
    card, = body["attachments"]
    content = card["content"]
    return first(content_type(notification), None if body["type"] == "message" else "type",
                 None if card["contentType"] == "application/vnd.microsoft.card.adaptive" else "card",
                 None if content["type"] == "AdaptiveCard" and content["version"] == "1.4" else "version",
                 None if len(notification.content) < 28 * 1024 else "too large",
                 *(teams_element(e) for e in content["body"]))


# ---- PagerDuty: https://developer.pagerduty.com/docs/send-alert-event ----

def pagerduty(notification):
    body = notification.body
    payload = body["payload"]
    return first(
        content_type(notification),
        no_more_keys(body, "routing_key", "event_action", "dedup_key", "client", "payload"),
        None if re.fullmatch(r"[0-9a-z]{32}", body["routing_key"]) else "routing_key",
        None if body["event_action"] in ("trigger", "acknowledge", "resolve") else "event_action",
        None if 1 <= len(body["dedup_key"]) <= 255 else "dedup_key",
        no_more_keys(payload, "summary", "source", "severity", "timestamp", "component", "group",
                     "class", "custom_details"),
        None if 1 <= len(payload["summary"]) <= 1024 else "summary",
        None if payload["source"] else "source",
        None if payload["severity"] in ("critical", "error", "warning", "info") else "severity",
        None if TIME.fullmatch(payload["timestamp"]) else "timestamp",
        None if len(notification.content) <= 512 * 1024 else "too large")


# ---- GitHub: https://docs.github.com/rest/issues/issues#create-an-issue ----

def github(notification):
    body = notification.body
    mentions = re.sub(r"(?ms)^(`{3,})\n.*?^\1$", "", body["body"])
    return first(
        content_type(notification),
        None if re.fullmatch(r"/repos/[\w.-]+/[\w.-]+/issues", notification.path) else "path",
        None if notification.headers.get("Accept") == "application/vnd.github+json" else "Accept",
        None if notification.headers.get("Authorization", "").startswith("Bearer ") else "token",
        None if notification.headers.get("User-Agent") else "User-Agent",
        no_more_keys(body, "title", "body", "labels", "assignees", "milestone"),
        None if 1 <= len(body["title"]) <= 256 and "\n" not in body["title"] else "title",
        None if len(body["body"]) <= 65536 else "body",
        None if "@" not in mentions else f"mentions somebody: {mentions}")


# ---- OTLP/HTTP JSON: https://opentelemetry.io/docs/specs/otlp/, opentelemetry/proto/logs/v1 ----

def otlp_attributes(attributes):
    found = {}
    for attribute in attributes:
        (kind, value), = attribute["value"].items()
        if set(attribute) != {"key", "value"} or attribute["key"] in found:
            raise ValueError(f"attribute {attribute}")
        if kind == "intValue":
            value = int(value) if isinstance(value, str) else ValueError
        elif kind != "stringValue" or not isinstance(value, str):
            raise ValueError(f"attribute {attribute}")
        found[attribute["key"]] = value
    return found


def otlp_logs(body):
    """[(attributes of the resource, log record, its attributes)]"""
    logs = []
    for resource in body["resourceLogs"]:
        for scope in resource["scopeLogs"]:
            for record in scope["logRecords"]:
                logs.append((otlp_attributes(resource["resource"]["attributes"]), record,
                             otlp_attributes(record["attributes"])))
    return logs


def otlp(notification):
    for resource, record, _ in otlp_logs(notification.body):
        problem = first(
            no_more_keys(record, "timeUnixNano", "observedTimeUnixNano", "severityNumber",
                         "severityText", "body", "attributes", "traceId", "spanId", "flags",
                         "eventName"),
            None if re.fullmatch(r"\d{19}", record["timeUnixNano"]) else "timeUnixNano",
            None if 1 <= record["severityNumber"] <= 24 else "severityNumber",
            None if len(record.get("traceId", "0" * 32)) == 32 else "traceId",
            None if len(record.get("spanId", "0" * 16)) == 16 else "spanId",
            None if {"k8s.namespace.name", "k8s.pod.name", "k8s.container.name",
                     "k8s.container.restart_count", "service.name"} <= set(resource) else "resource")
        if problem:
            return problem
    return first(content_type(notification),
                 None if notification.path == "/v1/logs" else f"path {notification.path}")


# ---- Loki: https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs ----

def loki(notification):
    for stream in notification.body["streams"]:
        if set(stream) != {"stream", "values"} or not 1 <= len(stream["stream"]) <= 15:
            return f"stream {stream}"
        for name, value in stream["stream"].items():
            if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) or not isinstance(value, str):
                return f"label {name}"
        for time, line in stream["values"]:
            if not isinstance(time, str) or not re.fullmatch(r"\d{19}", time):
                return f"time {time}"
            if len(line) > 256 * 1024:
                return "line"
            json.loads(line)
    return first(content_type(notification),
                 None if notification.path == "/loki/api/v1/push" else "path")


# ---- Alertmanager: api/v2/openapi.yaml ----

def alertmanager(notification):
    if not isinstance(notification.body, list) or not notification.body:
        return "no list"
    for alert in notification.body:
        problem = first(
            no_more_keys(alert, "labels", "annotations", "startsAt", "endsAt", "generatorURL"),
            None if alert["labels"].get("alertname") else "alertname",
            *(None if re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", n) and isinstance(v, str) and v else n
              for n, v in [*alert["labels"].items(), *alert["annotations"].items()]),
            None if TIME.fullmatch(alert["startsAt"]) and TIME.fullmatch(alert["endsAt"]) else "time",
            None if alert["startsAt"] < alert["endsAt"] else "it ends before it starts")
        if problem:
            return problem
    return first(content_type(notification),
                 None if notification.path == "/api/v2/alerts" else "path")


# ---- CloudEvents 1.0: spec.md, http-protocol-binding.md ----

def cloud_event(attributes):
    return first(
        None if attributes.get("specversion") == "1.0" else "specversion",
        *(None if attributes.get(name) else name for name in ("id", "source", "type")),
        *(None if re.fullmatch(r"[a-z0-9]{1,20}", name) else name for name in attributes),
        None if TIME.fullmatch(attributes.get("time", "")) else "time")


def cloudevents_structured(notification):
    body = dict(notification.body)
    data = body.pop("data")
    return first(content_type(notification, "application/cloudevents+json"), cloud_event(body),
                 None if isinstance(data, dict) else "data",
                 None if body["datacontenttype"] == "application/json" else "datacontenttype")


def cloudevents_binary(notification):
    attributes = {name[3:].lower(): value for name, value in notification.headers.items()
                  if name.lower().startswith("ce-")}
    return first(content_type(notification), cloud_event(attributes),
                 None if isinstance(notification.body, dict) else "data")
