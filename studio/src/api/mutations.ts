import { answer, api } from "./client";
import type {
  BulkPreview,
  BulkRequest,
  BulkResult,
  CreatedToken,
  Delivery,
  Json,
  Me,
  NewToken,
  Run,
  Schedule,
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
export const cancelRun = (id: string, reason?: string) =>
  answer<Run>(api().POST("/runs/{workflow_id}/cancel", { body: reason ? { reason } : {}, params: { path: of(id) } }));
export const retryRun = (id: string) => answer<Run>(api().POST("/runs/{workflow_id}/retry", { params: { path: of(id) } }));

export const previewBulk = (request: BulkRequest) => answer<BulkPreview>(api().POST("/runs/bulk/preview", { body: request }));
/** At most 200 runs a call: go on with `next_cursor` until it is null. */
export const bulk = (request: BulkRequest & { reason?: string | undefined; cursor?: string | null | undefined }) =>
  answer<BulkResult>(api().POST("/runs/bulk", { body: request }));

const schedule = (app: string, name: string) => ({ params: { path: { app_name: app, name } } });

export const pauseSchedule = (app: string, name: string) => answer<Schedule>(api().POST("/schedules/{app_name}/{name}/pause", schedule(app, name)));
export const resumeSchedule = (app: string, name: string) => answer<Schedule>(api().POST("/schedules/{app_name}/{name}/resume", schedule(app, name)));
export const fireSchedule = (app: string, name: string) => answer<Tick>(api().POST("/schedules/{app_name}/{name}/fire", schedule(app, name)));
/** The failed handler of a tick runs again, or the failed run that the tick started. */
export const retryTick = (app: string, name: string, scheduledAt: string) =>
  answer<Tick>(api().POST("/schedules/{app_name}/{name}/retry", { ...schedule(app, name), body: { scheduled_at: scheduledAt } }));

export const redrive = (app: string, route: string, deliveryId: string) =>
  answer<Delivery>(api().POST("/deliveries/{app_name}/{route}/redrive", { params: { path: { app_name: app, route } }, body: { delivery_id: deliveryId } }));
