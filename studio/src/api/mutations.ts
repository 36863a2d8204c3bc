import { path, post, send } from "./client";
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

/** Requests that change something, as plain functions: `useMutation({ mutationFn: cancelRun })`. All raise ApiError. */

const once = (key?: string) => (key ? { "Idempotency-Key": key } : undefined);

export const signIn = (token: string) => post<Me>("/session", { token });
export const signOut = () => send<undefined>("DELETE", "/session");

export const createToken = (token: NewToken) => post<CreatedToken>("/tokens", token);
export const revokeToken = (id: string) => send<undefined>("DELETE", path`/tokens/${id}`);

/** With an idempotency key, a repeated start answers with the run that the first one made. */
export const startRun = (start: StartRun, idempotencyKey?: string) => post<Started>("/runs", start, once(idempotencyKey));

/** `data` null for a transition that takes no payload. */
export const signalRun = (id: string, name: string, data: Json, idempotencyKey?: string) =>
  post<Run>(path`/runs/${id}/signals`, { name, data }, once(idempotencyKey));
export const cancelRun = (id: string, reason?: string) => post<Run>(path`/runs/${id}/cancel`, reason ? { reason } : {});
export const retryRun = (id: string) => post<Run>(path`/runs/${id}/retry`);

export const previewBulk = (request: BulkRequest) => post<BulkPreview>("/runs/bulk/preview", request);
/** At most 500 runs a call: go on with `next_cursor` until it is null. */
export const bulk = (request: BulkRequest & { reason?: string | undefined; cursor?: string | null | undefined }) =>
  post<BulkResult>("/runs/bulk", request);

export const pauseSchedule = (app: string, name: string) => post<Schedule>(path`/schedules/${app}/${name}/pause`);
export const resumeSchedule = (app: string, name: string) => post<Schedule>(path`/schedules/${app}/${name}/resume`);
export const fireSchedule = (app: string, name: string) => post<Tick>(path`/schedules/${app}/${name}/fire`);

export const redrive = (app: string, route: string, deliveryId: string) =>
  post<Delivery>(path`/deliveries/${app}/${route}/redrive`, { delivery_id: deliveryId });
