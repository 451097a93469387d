{{- define "k2conn.name" -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "k2conn.selector" -}}
app.kubernetes.io/name: k2conn
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* What a variable's secret is called among the pod's volumes. */}}
{{- define "k2conn.volume" -}}
secret-{{ . | lower | replace "_" "-" | trunc 56 | trimSuffix "-" }}
{{- end -}}

{{- define "k2conn.pod" -}}
metadata:
  labels:
    {{- include "k2conn.selector" . | nindent 4 }}
  {{- if or .Values.podAnnotations .Values.connectorFiles }}
  annotations:
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with .Values.connectorFiles }}
    checksum/connectors: {{ toYaml . | sha256sum }}
    {{- end }}
  {{- end }}
spec:
  serviceAccountName: {{ include "k2conn.name" . }}
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: k2conn
      image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      env:
        - name: K2_CONNECTORS
          value: {{ join "," .Values.connectors | quote }}
        - name: K2_WORKERS
          value: {{ .Values.workers | quote }}
        {{- with .Values.group }}
        {{- if .name }}
        - name: K2_GROUP
          value: {{ .name | quote }}
        - name: K2_GROUP_INSTANCE_ID
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        - name: K2_GROUP_SLOTS
          value: {{ .slots | quote }}
        - name: K2_GROUP_SESSION
          value: {{ .session | quote }}
        {{- end }}
        {{- end }}
        - name: K2_METRICS_HOST
          value: "0.0.0.0"
        - name: K2_KAFKA_BOOTSTRAP_SERVERS
          value: {{ .Values.kafka | quote }}
        {{- with .Values.registry }}
        - name: K2_KAFKA_SCHEMA_REGISTRY_URL
          value: {{ . | quote }}
        {{- end }}
        {{- $said := or (eq .Values.delivery "exactly-once") (eq .Values.state "kafka") }}
        {{- $inEnv := or (eq (get .Values.env "K2_KAFKA_DELIVERY") "exactly-once") (eq (get .Values.env "K2_STATE") "kafka") }}
        {{- $inKafka := or $said $inEnv }}
        {{- if $said }}
        - name: K2_KAFKA_DELIVERY
          value: {{ .Values.delivery | quote }}
        - name: K2_STATE
          value: kafka
        {{- end }}
        {{- if .Values.persistence.enabled }}
        - name: K2_SPOOL_FOLDER
          value: /var/lib/k2conn/spool
        - name: K2_SPOOL_MAX_BYTES
          value: {{ .Values.persistence.spoolBytes | int64 | quote }}
        {{- if not $inKafka }}
        - name: K2_STATE_FOLDER
          value: /var/lib/k2conn/state
        {{- end }}
        {{- else }}
        - name: K2_SPOOL
          value: never
        {{- end }}
        {{- range $name, $value := .Values.env }}
        - name: {{ $name }}
          value: {{ $value | quote }}
        {{- end }}
        {{- range $name, $secret := .Values.secrets }}
        - name: {{ $name }}_FILE
          value: /run/secrets/{{ $name }}/{{ $secret.key }}
        {{- end }}
      ports:
        - name: metrics
          containerPort: 9091
      livenessProbe:
        httpGet: {path: /live, port: metrics}
        {{- toYaml .Values.probes.live | nindent 8 }}
      readinessProbe:
        httpGet: {path: /ready, port: metrics}
        {{- toYaml .Values.probes.ready | nindent 8 }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- if .Values.persistence.enabled }}
        - name: data
          mountPath: /var/lib/k2conn
        {{- end }}
        {{- if .Values.connectorFiles }}
        - name: connectors
          mountPath: /etc/k2conn/connectors
          readOnly: true
        {{- end }}
        {{- range $name, $secret := .Values.secrets }}
        - name: {{ include "k2conn.volume" $name }}
          mountPath: /run/secrets/{{ $name }}
          readOnly: true
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {}
    {{- if .Values.connectorFiles }}
    - name: connectors
      configMap:
        name: {{ include "k2conn.name" . }}-connectors
    {{- end }}
    {{- range $name, $secret := .Values.secrets }}
    - name: {{ include "k2conn.volume" $name }}
      secret:
        secretName: {{ $secret.secret }}
        defaultMode: 0440
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
