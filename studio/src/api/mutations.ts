import { answer, api } from "./client";
import type {
  Assignment,
  BulkPreview,
  BulkRequest,
  BulkResult,
  CanceledBatch,
  CreatedToken,
  Delivery,
  ForkRun,
  Json,
  Me,
  NewSchedule,
  NewToken,
  Pause,
  Paused,
  Question,
  Resumed,
  RetriedBatch,
  Run,
  RunChanges,
  Schedule,
  ScheduleChange,
  Started,
  StartRun,
  Tick,
} from "./types";

/** Requests that change something, as plain functions: `useMutation({ mutationFn: cancelRun })`. All throw ApiError. */

const once = (key?: string) => (key ? { "Idempotency-Key": key } : {});
const of = (id: string) => ({ workflow_id: id });

export const signIn = (token: string) => answer<Me>(api().POST("/session", { body: { token } }));
export const signOut = () => answer<undefined>(api().DELETE("/session"));

export const createToken = (token: NewToken) => answer<CreatedToken>(api().POST("/tokens", { body: token }));
export const revokeToken = (id: string) => answer<undefined>(api().DELETE("/tokens/{token_id}", { params: { path: { token_id: id } } }));

/** With an idempotency key, a repeated start answers with the run that the first one made. */
export const startRun = (start: StartRun, idempotencyKey?: string) =>
  answer<Started>(api().POST("/runs", { body: { labels: [], ...start }, params: { header: once(idempotencyKey) } }));

/** `data` null for a transition that takes no payload. */
export const signalRun = (id: string, name: string, data: Json, idempotencyKey?: string) =>
  answer<Run>(api().POST("/runs/{workflow_id}/signals", { body: { name, data }, params: { path: of(id), header: once(idempotencyKey) } }));
/** To a question: the first answer to a visit wins, and later ones are refused. */
export const answerRun = (id: string, transition: string, data: Json, visit: number, idempotencyKey?: string) =>
  answer<Run>(api().POST("/runs/{workflow_id}/answers/{transition}", { body: { data, visit }, params: { path: { workflow_id: id, transition }, header: once(idempotencyKey) } }));
/** Whom it doesn't name may not answer any more. */
export const assignQuestion = (id: string, transition: string, to: Assignment) =>
  answer<Question>(api().PUT("/runs/{workflow_id}/questions/{transition}", { body: to, params: { path: { workflow_id: id, transition } } }));
/** `force`: at once, also a run that is to clear up first. */
export const cancelRun = (id: string, reason?: string, force = false) =>
  answer<Run>(api().POST("/runs/{workflow_id}/cancel", { body: { ...(reason ? { reason } : {}), force }, params: { path: of(id) } }));
/** `repair`: other data than the signal with which it failed, or another state; what is left out stays. */
export const retryRun = (id: string, repair: { data?: Json; state?: Json } = {}) =>
  answer<Run>(api().POST("/runs/{workflow_id}/retry", { body: repair, params: { path: of(id) } }));
export const updateRun = (id: string, changes: RunChanges) =>
  answer<Run>(api().PATCH("/runs/{workflow_id}", { body: changes, params: { path: of(id) } }));
export const deleteRun = (id: string) => answer<undefined>(api().DELETE("/runs/{workflow_id}", { params: { path: of(id) } }));

/** Begins a new run at the target of that checkpoint; what is left out is the run's. */
export const forkRun = (id: string, fork: ForkRun, idempotencyKey: string) =>
  answer<Started>(api().POST("/runs/{workflow_id}/fork", { body: fork, params: { path: of(id), header: once(idempotencyKey) } }));

export const previewBulk = (request: BulkRequest) => answer<BulkPreview>(api().POST("/runs/bulk/preview", { body: request }));
/** At most 200 runs a call: go on with `next_cursor` until it is null. */
export const bulk = (request: BulkRequest & { reason?: string | undefined; cursor?: string | null | undefined }) =>
  answer<BulkResult>(api().POST("/runs/bulk", { body: request }));

const batch = (id: string) => ({ params: { path: { batch_id: id } } });

export const retryBatch = (id: string) => answer<RetriedBatch>(api().POST("/batches/{batch_id}/retry", batch(id)));
export const cancelBatch = (id: string, reason?: string) =>
  answer<CanceledBatch>(api().POST("/batches/{batch_id}/cancel", { ...batch(id), body: { reason: reason ?? null } }));

export const pause = (what: Paused, reason?: string) => answer<Pause>(api().POST("/pauses", { body: { ...what, reason: reason ?? null } }));
/** Lifts exactly this pause; the answer has those that still cover the same runs. */
export const resume = (what: Paused) => answer<Resumed>(api().POST("/pauses/resume", { body: what }));

/** One that was made at run time is named with its user. */
export type ScheduleName = Pick<Schedule, "app_name" | "name" | "user_id">;
const schedule = ({ app_name, name, user_id }: ScheduleName) => ({ params: { path: { app_name, name }, query: user_id === null ? {} : { user_id } } });

export const pauseSchedule = (one: ScheduleName) => answer<Schedule>(api().POST("/schedules/{app_name}/{name}/pause", schedule(one)));
export const resumeSchedule = (one: ScheduleName) => answer<Schedule>(api().POST("/schedules/{app_name}/{name}/resume", schedule(one)));
export const fireSchedule = (one: ScheduleName) => answer<Tick>(api().POST("/schedules/{app_name}/{name}/fire", schedule(one)));
/** The failed handler of a tick runs again, or the failed run that the tick started. */
export const retryTick = (one: ScheduleName, scheduledAt: string) =>
  answer<Tick>(api().POST("/schedules/{app_name}/{name}/retry", { ...schedule(one), body: { scheduled_at: scheduledAt } }));
export const createSchedule = (made: NewSchedule) => answer<Schedule>(api().POST("/schedules", { body: made }));
export const updateSchedule = (one: ScheduleName, change: ScheduleChange) => answer<Schedule>(api().PATCH("/schedules/{app_name}/{name}", { ...schedule(one), body: change }));
export const deleteSchedule = (one: ScheduleName) => answer<undefined>(api().DELETE("/schedules/{app_name}/{name}", schedule(one)));

export const redrive = (app: string, route: string, deliveryId: string) =>
  answer<Delivery>(api().POST("/deliveries/{app_name}/{route}/redrive", { params: { path: { app_name: app, route } }, body: { delivery_id: deliveryId } }));
