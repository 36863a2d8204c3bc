/** The API's shapes under the names that Studio uses. */

export type RunStatus = "pending" | "running" | "waiting" | "retrying" | "completed" | "failed" | "canceled";
export type Role = "viewer" | "operator" | "admin";

/** A value that came as JSON. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };
/** JSON schema, draft 2020-12, as Pydantic writes it. */
export type JsonSchema = JsonObject;

/** Keyset pages: `next_cursor` is null on the last one. */
export interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
}

export interface Me {
  user_id: string;
  role: Role;
  everybody: boolean;
  apps: string[] | null;
  method: "local" | "application" | "token" | "oidc";
  version: string;
  database: "sqlite" | "postgresql";
  queue: "database" | "bullmq";
  sign_out: boolean;
}

export interface Token {
  id: string;
  name: string;
  user_id: string;
  role: Role;
  everybody: boolean;
  apps: string[] | null;
  prefix: string;
  created_at: string;
  created_by: string | null;
  expires_at: string | null;
  last_used_at: string | null;
  revoked_at: string | null;
}

export interface NewToken {
  name: string;
  user_id?: string | undefined;
  role: Role;
  everybody: boolean;
  apps?: string[] | undefined;
  expires_at?: string | undefined;
}

/** `token` is the secret, shown once. */
export type CreatedToken = Token & { token: string };

export interface App {
  name: string;
  title: string;
  workflows: string[];
}

export interface RecentRun {
  workflow_id: string;
  status: RunStatus;
  created_at: string;
  finished_at: string | null;
}

export interface WorkflowSummary {
  app_name: string;
  name: string;
  title: string;
  description: string;
  version: number;
  takes_args: boolean;
  counts: Partial<Record<RunStatus, number>>;
  /** Newest first, at most 30. */
  recent: RecentRun[];
}

export interface EventMatch {
  name: string;
  match: JsonObject;
}

export interface Place {
  name: string;
  automatic: string[];
  waiting: string[];
}

export interface Retry {
  retries: number;
  delay: number;
  backoff: "exponential" | "fixed";
  max_delay: number;
  jitter: number;
  on: string[];
  give_up_on: string[];
}

export interface Payload {
  parameter: string;
  envelope: boolean;
  optional: boolean;
  schema: JsonSchema;
}

export interface Transition {
  name: string;
  method: string;
  source: string;
  target: string;
  kind: "automatic" | "signal" | "timer" | "event";
  keep: boolean;
  after: number | null;
  event: EventMatch | null;
  guard: string | null;
  priority: number | null;
  retry: Retry | null;
  retry_target: string | null;
  error_place: string | null;
  timeout: number | null;
  payload: Payload | null;
}

export interface WidgetBase {
  transition: string;
  /** Empty: wherever the transition waits. */
  enabled_at: string[];
  label: string | null;
}

export interface FormWidget extends WidgetBase {
  type: "form";
  title: string | null;
  fields?: Record<string, JsonObject>;
  order?: string[];
  groups?: FieldGroup[];
}

export interface PromptInputWidget extends WidgetBase {
  type: "prompt-input";
  placeholder: string;
  /** The field of the payload that gets the text; null: the text is the payload. */
  field: string | null;
}

export interface ButtonWidget extends WidgetBase {
  type: "button";
  data: Json;
  variant: "primary" | "secondary" | "danger";
}

export type Widget = FormWidget | PromptInputWidget | ButtonWidget;

/** One entry of a schema's `x-groups`. */
export interface FieldGroup {
  title: string;
  fields: string[];
  description?: string;
  collapsed?: boolean;
}

export interface Trigger {
  kind: "cron" | "every" | "event" | "webhook";
  name: string;
  rule: string;
}

export interface WorkflowDetail {
  app_name: string;
  name: string;
  title: string;
  description: string;
  version: number;
  run_timeout: number | null;
  priority: number;
  on: EventMatch[];
  args: JsonSchema | null;
  state: JsonSchema;
  result: JsonSchema;
  places: Place[];
  transitions: Transition[];
  ui: Widget[];
  mermaid: string;
  triggers: Trigger[];
}

export interface StartRun {
  app_name: string;
  workflow: string;
  args?: Json | undefined;
  labels?: string[] | undefined;
  delay_seconds?: number | undefined;
  at?: string | undefined;
  priority?: number | undefined;
  workspace_id?: string | undefined;
  user_id?: string | undefined;
}

export interface Started {
  workflow_id: string;
  /** False: the idempotency key's run was there already. */
  created: boolean;
}

export interface Run {
  workflow_id: string;
  workflow_name: string;
  workflow_version: number;
  app_name: string;
  workspace_id: string;
  user_id: string;
  status: RunStatus;
  place: string;
  /** The number of its newest history row. */
  version: number;
  args: Json;
  state: Json;
  result: Json;
  error: string | null;
  attempt: number;
  labels: string[];
  priority: number;
  idempotency_key: string | null;
  parent_id: string | null;
  /** The transitions that it waits for. */
  waiting_for: string[];
  due_at: string | null;
  created_at: string;
  updated_at: string;
  finished_at: string | null;
}

export interface Checkpoint {
  version: number;
  /** Null in row 0, the creation. */
  transition: string | null;
  source: string | null;
  target: string | null;
  attempt: number;
  status: "committed" | "failed" | "canceled";
  error: string | null;
  trace: string | null;
  state: Json;
  signal_id: string | null;
  answered_by: string | null;
  started_at: string;
  finished_at: string;
}

export interface StoredDocument {
  id: string;
  workflow_id: string;
  name: string;
  key: string | null;
  content: JsonObject;
  tags: string[];
  meta: JsonObject | null;
  errors: JsonObject[];
  transition: string | null;
  version: number;
  created_at: string;
  replaced_at: string | null;
  ui: Widget[];
}

export interface Step {
  visit: number;
  transition: string;
  name: string;
  value: Json;
  recorded_at: string;
}

export interface Child {
  run: Run;
  callback: string | null;
  label: string | null;
  show: "inline" | "link" | "hidden";
  on_parent_end: string;
}

export interface Explanation {
  workflow_id: string;
  status: RunStatus;
  place: string;
  reasons: string[];
}

/** What a person may answer now. `schema` null: it takes no payload. */
export interface Ask {
  transition: string;
  title: string;
  description: string;
  optional: boolean;
  schema: JsonSchema | null;
  source: string;
  target: string;
}

export interface Waiting {
  run: Run;
  asks: Ask[];
  since: string;
}

export interface RunFilter {
  app_name?: string | undefined;
  workflow?: string | undefined;
  status?: RunStatus[] | undefined;
  label?: string | undefined;
  workspace_id?: string | undefined;
  user_id?: string | undefined;
  parent_id?: string | undefined;
  place?: string | undefined;
  q?: string | undefined;
  created_after?: string | undefined;
  created_before?: string | undefined;
}

export type BulkAction = "retry" | "cancel";

/** Either `runs` or `filter`. */
export interface BulkRequest {
  action: BulkAction;
  runs: string[] | null;
  filter: Omit<RunFilter, "parent_id"> | null;
}

export interface BulkPreview {
  matching: number;
  eligible: number;
  /** More match than were counted. */
  more: boolean;
  skipped: Record<string, number>;
  sample: Run[];
}

export interface BulkResult {
  done: number;
  skipped: Record<string, number>;
  failed: { workflow_id: string; detail: string }[];
  next_cursor: string | null;
}

/** Each count stops at `capped_at`. */
export interface Counts {
  counts: Partial<Record<RunStatus, number>>;
  capped_at: number;
}

export interface FailureGroup {
  app_name: string;
  workflow_name: string;
  error: string;
  count: number;
  last_at: string;
  /** The newest of them. */
  workflow_id: string;
}

export type MetricsWindow = "hour" | "day";

export interface MetricsBucket {
  at: string;
  completed: number;
  failed: number;
  canceled: number;
  p50_seconds: number | null;
  p95_seconds: number | null;
}

export interface Metrics {
  window: MetricsWindow;
  since: string;
  until: string;
  bucket_seconds: number;
  buckets: MetricsBucket[];
  completed: number;
  failed: number;
  canceled: number;
  p50_seconds: number | null;
  p95_seconds: number | null;
}

export interface Workspace {
  id: string;
  app_name: string;
  user_id: string;
  created_at: string;
}

export interface Tick {
  scheduled_at: string;
  fired_at: string | null;
  outcome: "fired" | "queued" | "refused" | "missed";
  workflow_id: string | null;
  status: RunStatus | null;
}

export interface Schedule {
  app_name: string;
  name: string;
  rule: string;
  /** Null: an interval, which knows no zones. */
  timezone: string | null;
  workflow: string | null;
  overlap: string;
  misfire: string;
  paused: boolean;
  /** The answering process declares it. */
  here: boolean;
  next: string[];
  last: Tick | null;
}

export type ScheduleDetail = Schedule & { ticks: Tick[] };

export interface Delivery {
  app_name: string;
  route: string;
  path: string;
  delivery_id: string;
  received_at: string;
  status: string;
  attempt: number;
  error: string | null;
}

export interface Worker {
  id: string;
  host: string;
  pid: number;
  started_at: string;
  seen_at: string;
  alive: boolean;
  takes: { app_name: string; workflow_name: string }[];
  holding: number;
  runs: Run[];
}

export interface Lane {
  app_name: string;
  workflow_name: string;
  ready: number;
  oldest_at: string | null;
  workers: number;
}

export interface Queue {
  ready: number;
  oldest_at: string | null;
  later: number;
  next_at: string | null;
  lanes: Lane[];
  capped_at: number;
}

/** RFC 9457. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  errors?: ProblemField[];
}

export interface ProblemField {
  loc: (string | number)[];
  msg: string;
  type: string;
}

/** The data of `event: checkpoint` in the stream of all runs. */
export interface RunChange {
  workflow_id: string;
  checkpoint: Checkpoint;
  run: Run;
}

/** The data of `event: checkpoint` in the stream of one run: also what was saved in that checkpoint. */
export interface CheckpointEvent extends RunChange {
  documents: StoredDocument[];
}
