import { useQuery } from "@tanstack/react-query";
import { pausesQuery } from "@/api/queries";
import type { Pause } from "@/api/types";
import { covers } from "@/model/pauses";

/** A pause has no event. */
const EVERY = 10_000;

/** Everything that is paused now; for several parts of a page it is fetched once. */
export const usePauses = (enabled = true) => useQuery({ ...pausesQuery(), refetchInterval: EVERY, enabled });

/** The pauses because of which runs of this workflow wait. None while they aren't known, or aren't asked for. */
export function usePausesOf(app: string, workflow: string, enabled = true): readonly Pause[] {
  const { data } = usePauses(enabled);
  return enabled ? (data ?? []).filter((one) => covers(one, app, workflow)) : [];
}
