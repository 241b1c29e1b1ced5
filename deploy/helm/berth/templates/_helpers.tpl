{{- define "berth.fullname" -}}
{{- if contains "berth" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-berth" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "berth.selector" -}}
app.kubernetes.io/name: berth
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "berth.labels" -}}
{{ include "berth.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "berth.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "berth.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "berth.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "berth.scheme" -}}
{{- if .Values.tls.existingSecret }}https{{ else }}http{{ end -}}
{{- end -}}

{{- /* What must hold among values, beyond what values.schema.json can say of each. */ -}}
{{- define "berth.check" -}}
{{- $v := .Values -}}
{{- if eq $v.mode "cluster" -}}
{{- if not (or $v.database.url $v.database.existingSecret.name) -}}
{{- fail "mode cluster needs database.url or database.existingSecret.name" -}}
{{- end -}}
{{- if not $v.blobs.url -}}
{{- fail "mode cluster needs blobs.url: Pods have no disk in common" -}}
{{- end -}}
{{- if not (or $v.secretKey.value $v.secretKey.existingSecret.name) -}}
{{- fail "mode cluster needs secretKey.value (openssl rand -hex 32) or secretKey.existingSecret.name: every Pod needs the same key, at every install" -}}
{{- end -}}
{{- else if or $v.database.url $v.database.existingSecret.name -}}
{{- fail "a database is for mode cluster; mode single has SQLite on its volume" -}}
{{- end -}}
{{- end -}}

{{- /* The file that BERTH_CONFIG names. Nothing secret. */ -}}
{{- define "berth.config" -}}
{{- $v := .Values -}}
{{- $config := dict
  "host" "0.0.0.0"
  "port" 8080
  "data" "/data"
  "domain" (printf "%s:%d" $v.domain (int $v.publicPort))
  "workers" $v.workers
  "drain-seconds" $v.drainSeconds
  "log-format" "json" -}}
{{- if $v.trustedProxies -}}
{{- $_ := set $config "trusted-proxies" $v.trustedProxies -}}
{{- end -}}
{{- if $v.tls.existingSecret -}}
{{- $_ := set $config "tls-cert" "/var/run/berth/tls/tls.crt" -}}
{{- $_ := set $config "tls-key" "/var/run/berth/tls/tls.key" -}}
{{- else -}}
{{- $_ := set $config "http" true -}}
{{- end -}}
{{- if $v.blobs.url -}}
{{- $_ := set $config "blobs" $v.blobs.url -}}
{{- $_ := set $config "blob-redirects" $v.blobs.redirects -}}
{{- end -}}
{{- if or $v.secretKey.value $v.secretKey.existingSecret.name -}}
{{- $_ := set $config "secret-key" "/var/run/berth/key/secret.key" -}}
{{- end -}}
{{- toYaml (mergeOverwrite $config $v.settings) -}}
{{- end -}}
