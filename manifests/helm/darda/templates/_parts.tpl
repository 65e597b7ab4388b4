{{/* What several templates share. Names are fixed: one chat in a namespace. */}}

{{- define "darda.labels" -}}
app.kubernetes.io/name: darda
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "darda.selector" -}}
app.kubernetes.io/name: darda
app.kubernetes.io/component: {{ . }}
{{- end }}

{{- define "darda.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "darda.urls" -}}
{{ .Values.secrets.urls | default "darda-urls" }}
{{- end }}

{{- define "darda.passwords" -}}
{{ .Values.secrets.passwords | default "darda-passwords" }}
{{- end }}

{{/* The settings of all nodes, as a map. */}}
{{- define "darda.settings" -}}
{{- $own := dict
  "DARDA_LISTEN" "0.0.0.0:8080"
  "DARDA_DRAIN_MS" (mul .Values.drainSeconds 1000 | toString)
  "DARDA_LOG_FORMAT" "json" -}}
{{- if eq .Values.authentication "development" -}}
{{- $_ := set $own "DARDA_DEV_AUTH_ANYWHERE" "on" -}}
{{- end -}}
{{- range $name, $value := .Values.settings -}}
{{- $_ := set $own $name (toString $value) -}}
{{- end -}}
{{- toYaml $own -}}
{{- end }}

{{- define "darda.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* A container of a node: {root, role}. */}}
{{- define "darda.node" -}}
{{- $values := .root.Values -}}
name: darda
image: {{ include "darda.image" .root }}
imagePullPolicy: {{ $values.image.pullPolicy }}
env:
  - { name: DARDA_ROLE, value: {{ .role }} }
  {{- range tuple "broker" "store" "cache" }}
  - name: DARDA_{{ upper . }}
    valueFrom: { secretKeyRef: { name: {{ include "darda.urls" $ | trim }}, key: {{ . }} } }
  {{- end }}
envFrom:
  - configMapRef: { name: darda-settings }
ports:
  - { name: http, containerPort: 8080 }
# A node waits some seconds for back ends that are away before it serves.
startupProbe:
  httpGet: { path: /healthz, port: http }
  periodSeconds: 1
  timeoutSeconds: 2
  failureThreshold: 60
# Never a back end's health: a restart would mend nothing.
livenessProbe:
  httpGet: { path: /healthz, port: http }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
# Unready while it drains.
readinessProbe:
  httpGet: { path: /readyz, port: http }
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
securityContext:
  {{- include "darda.restricted" . | nindent 2 }}
{{- end }}

{{/* What all pods of ours share. */}}
{{- define "darda.pod" -}}
serviceAccountName: darda
automountServiceAccountToken: false
# A Service's address in the environment could be taken for a setting.
enableServiceLinks: false
{{- end }}

{{- define "darda.spread" -}}
topologySpreadConstraints:
  {{- range tuple "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "darda.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}

{{/* The pod's security of a back end's image, whose user is 999. */}}
{{- define "darda.backend" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 999
  runAsGroup: 999
  fsGroup: 999
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "darda.claim" -}}
volumeClaimTemplates:
  - metadata: { name: data }
    spec:
      accessModes: [ReadWriteOnce]
      {{- with .storageClass }}
      storageClassName: {{ . }}
      {{- end }}
      resources: { requests: { storage: {{ .storage }} } }
{{- end }}

{{/* Rules of NetworkPolicies. */}}
{{- define "darda.fromNodes" -}}
- from:
    - podSelector:
        matchLabels: { app.kubernetes.io/name: darda }
        matchExpressions:
          - { key: app.kubernetes.io/component, operator: In, values: [gateway, writer] }
  ports:
    {{- range . }}
    - { port: {{ . }} }
    {{- end }}
{{- end }}

{{- define "darda.amongThemselves" -}}
- from:
    - podSelector:
        matchLabels:
          {{- include "darda.selector" . | nindent 10 }}
{{- end }}

{{- define "darda.toEachOther" -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "darda.selector" . | nindent 10 }}
# Names.
- ports:
    - { port: 53, protocol: UDP }
    - { port: 53, protocol: TCP }
{{- end }}
