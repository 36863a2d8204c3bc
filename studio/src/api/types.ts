/** The API's shapes under the names that Studio uses. They are the server's (schema.gen.ts), made narrower where OpenAPI can only say "anything". */
import type { components } from "./schema.gen";

type Schemas = components["schemas"];

/** `Shape` with other types for some of its own properties. */
type With<Shape, Narrower extends { [Key in keyof Narrower]: Key extends keyof Shape ? unknown : never }> = Omit<Shape, keyof Narrower> & Narrower;
/** Properties of a request that may be omitted or undefined. */
type Optional<Shape, Names extends keyof Shape = never> = Omit<{ [Key in keyof Shape]: undefined extends Shape[Key] ? Shape[Key] | undefined : Shape[Key] }, Names> & {
  [Key in Names]?: Shape[Key] | undefined;
};

export type RunStatus = Schemas["Run"]["status"];
export type Role = Schemas["Me"]["role"];

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

// --- the caller

export type Me = Schemas["Me"];
export type Token = Schemas["Token"];
export type NewToken = Optional<Schemas["NewToken"]>;
/** `token` is the secret, shown once. */
export type CreatedToken = Schemas["CreatedToken"];

// --- definitions (the server sends definition/export.py's JSON, which OpenAPI doesn't describe)

export type App = Schemas["AppView"];
export type RecentRun = Schemas["Recent"];
/** `recent`: newest first, at most 30. */
export type WorkflowSummary = With<Schemas["WorkflowSummary"], { counts: Partial<Record<RunStatus, number>> }>;
export type Trigger = Schemas["Trigger"];

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
  /** The method that works out its moment, instead of `after`; servers of an earlier version don't send it. */
  after_method?: string | null;
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

/** How the fields of a document are shown, in order; stored with it. */
export interface FieldsShown {
  type: "fields";
  fields: { name: string; title?: string; description?: string; widget?: JsonObject }[];
  groups: FieldGroup[];
}

/** One entry of a schema's `x-groups`. */
export interface FieldGroup {
  title: string;
  fields: string[];
  description?: string;
  collapsed?: boolean;
}

/** The limits of a workflow by class keyword; durations are seconds. */
export interface LimitRules {
  concurrency: { limit: number; key: string | null; name: string | null; holds: "executing" | "run"; on_conflict: "queue" | "skip" | "replace" }[];
  rate_limit: { limit: number; key: string | null; name: string | null; per: number }[];
  debounce: { delay: number; max_wait: number | null; key: string | null } | null;
  fair_by: string | null;
  expires: number | null;
}

export type WorkflowDetail = With<
  Schemas["WorkflowDetail"],
  {
    on: EventMatch[];
    args: JsonSchema | null;
    state: JsonSchema;
    result: JsonSchema;
    places: Place[];
    transitions: Transition[];
    ui: Widget[];
    limits: LimitRules;
  }
>;

// --- runs

export type StartRun = Optional<Schemas["StartRequest"], "labels">;
export type Started = Schemas["Started"];
export type Run = With<Schemas["Run"], { args: Json; state: Json; result: Json }>;
/** `transition` is null in row 0, the creation. */
export type Checkpoint = With<Schemas["Checkpoint"], { state: Json }>;
export type StoredDocument = With<Schemas["StoredDocument"], { content: JsonObject; errors: JsonObject[]; meta: JsonObject | null; ui: (Widget | FieldsShown)[] }>;
export type Step = With<Schemas["StepView"], { value: Json }>;
/** Runs that this server's code can't carry on, and why. */
export type Misfit = Schemas["Misfit"];
export type ForkRun = Optional<Schemas["ForkRequest"], "args" | "labels" | "state">;
export type Child = With<Schemas["Child"], { run: Run }>;
export type Explanation = With<Schemas["Explanation"], { status: RunStatus }>;
/** What a person may answer now. `schema` null: it takes no payload. */
export type Ask = With<Schemas["OpenSignal"], { schema: JsonSchema | null }>;
/** The signal with which a run has failed, and the schema that other data must fit. */
export type Taken = With<Schemas["TakenSignal"], { schema: JsonSchema | null; data: Json }>;
export type RunChanges = Optional<Schemas["RunUpdate"], "labels" | "subject">;
/** What a person is asked: one entry of the inbox. `payload_schema` null: the answer has no data. */
export type Question = With<Schemas["Question"], { payload_schema: JsonSchema | null; documents: StoredDocument[] }>;
export type Assignment = Optional<Schemas["AssignRequest"], "assignee" | "group" | "visit">;

export interface InboxFilter {
  app_name?: string | undefined;
  workflow?: string | undefined;
  overdue?: boolean | undefined;
  /** Those of all users, for who sees all users' runs. */
  everybody?: boolean | undefined;
}

export type Waiting = With<Schemas["Waiting"], { run: Run; asks: Ask[] }>;

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

// --- batches and groups

/** How many of its runs stand where; the eight counts add up to `total`. */
export type Progress = Schemas["GroupProgress"];
/** The runs that a run started together. */
export type ChildGroup = Schemas["ChildGroup"];
export type Batch = Schemas["Batch"];
export type BatchItem = With<Schemas["GroupItem_Any_"], { result: Json }>;

export type RetriedBatch = Schemas["RetriedBatch"];
export type CanceledBatch = Schemas["CanceledBatch"];

export interface BatchFilter {
  app_name?: string | undefined;
  user_id?: string | undefined;
}

// --- many runs at once

export type BulkAction = Schemas["BulkChoice"]["action"];

/** Either `runs` or `filter`. */
export interface BulkRequest {
  action: BulkAction;
  runs: string[] | null;
  filter: Omit<RunFilter, "parent_id"> | null;
}

export type BulkPreview = With<Schemas["BulkPreview"], { sample: Run[] }>;
export type BulkResult = Schemas["BulkResult"];
/** Each count stops at `capped_at`. */
export type Counts = With<Schemas["Counts"], { counts: Partial<Record<RunStatus, number>> }>;
/** `workflow_id` is the newest of them. */
export type FailureGroup = Schemas["Failures"];
export type MetricsWindow = Schemas["Metrics"]["window"];
export type MetricsBucket = Schemas["Bucket"];
export type Metrics = Schemas["Metrics"];

// --- pauses and limits

/** What it doesn't name, it covers whole. */
export type Pause = Schemas["Pause"];
export type Paused = Pick<Pause, "app_name" | "workflow">;
export type Resumed = Schemas["Resumed"];
export type Limit = Schemas["LimitView"];
export type LimitDetail = Schemas["LimitDetail"];
/** A run that holds a limit, or waits for it. */
export type RunAtLimit = Schemas["LimitHolder"] | Schemas["HeldBack"];

export interface LimitFilter {
  app_name?: string | undefined;
  held?: boolean | undefined;
}

// --- operations

export type Workspace = Schemas["WorkspaceView"];
export type Tick = Schemas["TickView"];
export type Schedule = Schemas["ScheduleView"];
export type ScheduleDetail = Schemas["ScheduleDetail"];
export type NewSchedule = Schemas["ScheduleRequest"];
export type ScheduleChange = Schemas["ScheduleChange"];
export type Delivery = Schemas["DeliveryView"];
export type Worker = With<Schemas["Worker"], { runs: Run[] }>;
export type Lane = Schemas["LaneDepth"];
export type Queue = Schemas["Depth"];

/** RFC 9457. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  errors?: ProblemField[];
  /** Of an answer that came too late: who was faster, where that is known, and when. */
  by?: string;
  at?: string;
}

export type ProblemField = Schemas["FieldProblem"];

/** The data of `event: checkpoint` in the stream of all runs. */
export interface RunChange {
  workflow_id: string;
  checkpoint: Checkpoint;
  run: Run;
}

/** The data of `event: checkpoint` in the stream of one run: also the documents of that checkpoint. */
export interface CheckpointEvent extends RunChange {
  documents: StoredDocument[];
}
