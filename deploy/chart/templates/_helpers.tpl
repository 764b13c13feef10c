{{- define "gql.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "gql.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name (include "gql.name" .) | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "gql.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "gql.selector" . }}
{{- end }}

{{- define "gql.selector" -}}
app.kubernetes.io/name: {{ include "gql.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "gql.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "gql.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "gql.fullname" .) }}
{{- else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{/* What every process is told. */}}
{{- define "gql.env" -}}
- name: GQL_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ required "existingSecret: name a secret with the address of the database and the key of tokens" .Values.existingSecret }}
      key: {{ .Values.secretKeys.databaseUrl }}
- name: GQL_LOG_JSON
  value: "true"
- name: GQL_LOG_LEVEL
  value: {{ .Values.logLevel | quote }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What a process that is watched is told besides. */}}
{{- define "gql.watched" -}}
- name: GQL_METRICS_HOST
  value: "0.0.0.0"
- name: GQL_METRICS_PORT
  value: {{ .Values.metricsPort | quote }}
{{- end }}

{{- define "gql.pod" -}}
serviceAccountName: {{ include "gql.serviceAccount" . }}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  seccompProfile: { type: RuntimeDefault }
volumes:
  - name: tmp
    emptyDir: {}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "gql.container" -}}
image: {{ include "gql.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
workingDir: /tmp
securityContext:
  readOnlyRootFilesystem: true
  allowPrivilegeEscalation: false
  capabilities: { drop: ["ALL"] }
volumeMounts:
  - name: tmp
    mountPath: /tmp
{{- end }}
