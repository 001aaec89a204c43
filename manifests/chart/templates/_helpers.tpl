{{/* The documents of a file that kustomize reads too, as a list of objects in {"items": [...]}. The
     namespace that they name becomes the release's. */}}
{{- define "lastword.documents" -}}
{{- $text := .root.Files.Get .path | required (printf "%s is missing from the chart" .path) -}}
{{- $items := list -}}
{{- range regexSplit "(?m)^---$" (replace "lastword-system" .root.Release.Namespace $text) -1 -}}
{{- $object := fromYaml . -}}
{{- if hasKey $object "Error" }}{{ fail (printf "%s: %s" $.path $object.Error) }}{{ end -}}
{{- if $object.kind }}{{ $items = append $items $object }}{{ end -}}
{{- end -}}
{{- toYaml (dict "items" $items) -}}
{{- end -}}

{{/* repository:tag, or repository@digest. */}}
{{- define "lastword.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* One object as a document, with the labels that Helm's users expect. */}}
{{- define "lastword.print" -}}
{{- $labels := dict "app.kubernetes.io/managed-by" .root.Release.Service
      "app.kubernetes.io/instance" .root.Release.Name
      "app.kubernetes.io/part-of" "lastword"
      "app.kubernetes.io/version" (.root.Chart.AppVersion | toString)
      "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version) -}}
{{- $metadata := .object.metadata -}}
{{- $_ := set $metadata "labels" (merge (dict) ($metadata.labels | default dict) $labels .root.Values.commonLabels) -}}
---
{{ toYaml .object }}
{{ end -}}

{{/* The observer of one of observer.namespaces, and its Lease. */}}
{{- define "lastword.observer-name" -}}
{{- eq (len .root.Values.observer.namespaces) 1 | ternary "lastword-observer" (printf "lastword-observer-%s" .namespace) -}}
{{- end -}}

{{/* The configuration: the shipped text as it is, unless values change it. */}}
{{- define "lastword.config" -}}
{{- $values := .Values.config -}}
{{- $changes := deepCopy $values.values -}}
{{- if .Values.watchdog.pullPolicy -}}
{{- $changes = mergeOverwrite (dict "sidecar" (dict "imagePullPolicy" .Values.watchdog.pullPolicy)) $changes -}}
{{- end -}}
{{- if .Values.watchdog.imagePullSecrets -}}
{{- $changes = mergeOverwrite (dict "sidecar" (dict "imagePullSecrets" .Values.watchdog.imagePullSecrets)) $changes -}}
{{- end -}}
{{- if $values.text -}}
{{- if or $values.rules $changes }}{{ fail "config.text is the whole configuration: config.rules, config.values, watchdog.pullPolicy and watchdog.imagePullSecrets have no place beside it" }}{{ end -}}
{{- $values.text -}}
{{- else if or $values.rules $changes -}}
{{- $config := mergeOverwrite (.Files.Get "base/config.yaml" | fromYaml) $changes -}}
{{- $_ := set $config "rules" (concat $values.rules $config.rules) -}}
{{- toYaml $config -}}
{{- else -}}
{{- .Files.Get "base/config.yaml" -}}
{{- end -}}
{{- end -}}

{{/* The same for the observer's own. */}}
{{- define "lastword.observer-config" -}}
{{- $text := .Files.Get "base/observer-config.yaml" -}}
{{- if or .Values.receivers .Values.observer.config -}}
{{- $config := mergeOverwrite (fromYaml $text) (deepCopy .Values.observer.config) -}}
{{- $_ := set $config "receivers" (concat .Values.receivers ($config.receivers | default list)) -}}
{{- toYaml $config -}}
{{- else -}}
{{- $text -}}
{{- end -}}
{{- end -}}

{{/* What of a Deployment the values of its component change. */}}
{{- define "lastword.deployment" -}}
{{- $root := .root -}}
{{- $values := .values -}}
{{- $template := .object.spec.template -}}
{{- $pod := $template.spec -}}
{{- $container := first $pod.containers -}}
{{- $_ := set .object.spec "replicas" $values.replicas -}}
{{- $_ := set $container "image" (include "lastword.image" (dict "root" $root "image" $root.Values.image)) -}}
{{- $_ := set $container "imagePullPolicy" $root.Values.image.pullPolicy -}}
{{- range $container.env -}}
{{- if eq .name "WATCHDOG_IMAGE" -}}
{{- $_ := set . "value" (include "lastword.image" (dict "root" $root "image" $root.Values.watchdog.image)) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $container "resources" $values.resources -}}
{{- $arguments := $container.args -}}
{{- if and $root.Values.failPod.enabled (hasPrefix "lastword-observer" .object.metadata.name) }}{{ $arguments = append $arguments "--remedy=fail-pod" }}{{ end -}}
{{- $arguments = concat $arguments $values.extraArgs -}}
{{- if $values.logLevel }}{{ $arguments = append $arguments (printf "--log-level=%s" $values.logLevel) }}{{ end -}}
{{- $_ := set $container "args" $arguments -}}
{{- range $key := list "nodeSelector" "tolerations" "affinity" -}}
{{- if index $values $key }}{{ $_ := set $pod $key (index $values $key) }}{{ end -}}
{{- end -}}
{{- if $values.topologySpreadConstraints }}{{ $_ := set $pod "topologySpreadConstraints" $values.topologySpreadConstraints }}{{ end -}}
{{- if $root.Values.imagePullSecrets }}{{ $_ := set $pod "imagePullSecrets" $root.Values.imagePullSecrets }}{{ end -}}
{{- $class := $values.priorityClassName | default $root.Values.priorityClass.name -}}
{{- if $class }}{{ $_ := set $pod "priorityClassName" $class }}{{ else }}{{ $_ := unset $pod "priorityClassName" }}{{ end -}}
{{- $_ := set $template.metadata "annotations" (merge (dict) $values.podAnnotations $template.metadata.annotations) -}}
{{- $_ := set $template.metadata "labels" (merge (dict) $template.metadata.labels $values.podLabels) -}}
{{- end -}}

{{/* certificates.mode self: overlays/self-signed/webhook.yaml, as the strategic merge does it: other
     arguments, and neither the volume of the certificate nor its mount. */}}
{{- define "lastword.self-signed" -}}
{{- $patch := first (include "lastword.documents" (dict "root" .root "path" "overlays/self-signed/webhook.yaml") | fromYaml).items -}}
{{- $container := first .object.spec.template.spec.containers -}}
{{- $patched := first $patch.spec.template.spec.containers -}}
{{- $_ := set $container "args" $patched.args -}}
{{- $mounts := list -}}
{{- range $container.volumeMounts }}{{ if ne .mountPath (first $patched.volumeMounts).mountPath }}{{ $mounts = append $mounts . }}{{ end }}{{ end -}}
{{- $_ := set $container "volumeMounts" $mounts -}}
{{- $volumes := list -}}
{{- range .object.spec.template.spec.volumes }}{{ if ne .name (first $patch.spec.template.spec.volumes).name }}{{ $volumes = append $volumes . }}{{ end }}{{ end -}}
{{- $_ := set .object.spec.template.spec "volumes" $volumes -}}
{{- end -}}

{{/* Which pods the API server asks about. */}}
{{- define "lastword.webhook-configuration" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- range .object.webhooks -}}
{{- if $values.namespaces -}}
{{- $expressions := list (dict "key" "kubernetes.io/metadata.name" "operator" "In" "values" $values.namespaces) -}}
{{- range .namespaceSelector.matchExpressions }}{{ if ne .key "lastword.dev/inject" }}{{ $expressions = append $expressions . }}{{ end }}{{ end -}}
{{- $_ := set .namespaceSelector "matchExpressions" $expressions -}}
{{- end -}}
{{- if and $values.webhook.matchConditions (semverCompare ">=1.30-0" $root.Capabilities.KubeVersion.Version) -}}
{{- $patch := first (include "lastword.documents" (dict "root" $root "path" "overlays/hardened/match-conditions.yaml") | fromYaml).items -}}
{{- $_ := set . "matchConditions" (first $patch.webhooks).matchConditions -}}
{{- end -}}
{{- $_ := set . "timeoutSeconds" $values.webhook.timeoutSeconds -}}
{{- if and (eq $values.certificates.mode "files") $values.certificates.caBundle -}}
{{- $_ := set .clientConfig "caBundle" $values.certificates.caBundle -}}
{{- end -}}
{{- end -}}
{{- end -}}
