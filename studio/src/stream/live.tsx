/** The live stream for React: one provider around the pages, and hooks in them. */
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, createContext, useCallback, useContext, useEffect, useEffectEvent, useState, useSyncExternalStore } from "react";
import type { CheckpointEvent } from "@/api/types";
import { Batch } from "./batch";
import { Bridge } from "./bridge";
import { BROWSER } from "./connection";
import { SharedStream } from "./shared";
import { type LiveStatus, NOT_YET } from "./status";

const nothing = () => undefined;
const Live = createContext<SharedStream | null>(null);

/** Opens the stream of all runs and keeps the query cache up to date. `name` is the user's id. */
export function LiveProvider({ name, children }: { name: string; children: ReactNode }) {
  const client = useQueryClient();
  const [stream] = useState(() => new SharedStream(name));
  useEffect(() => {
    const bridge = new Bridge(client, BROWSER);
    const batch = new Batch<CheckpointEvent>((events) => { bridge.events(events); });
    const leave = stream.listen({
      events: (events) => { batch.add(...events); },
      resync: () => { bridge.resync(); },
      status: nothing,
    });
    return () => {
      leave();
      batch.stop();
      bridge.stop();
    };
  }, [client, stream]);
  return <Live value={stream}>{children}</Live>;
}

/** The status of the stream, for the header of the page. */
export function useLiveStatus(): LiveStatus {
  const stream = useContext(Live);
  const subscribe = useCallback(
    (changed: () => void) => stream?.listen({ events: nothing, resync: nothing, status: changed }) ?? nothing,
    [stream],
  );
  return useSyncExternalStore(subscribe, () => stream?.status ?? NOT_YET);
}

/** Calls `heard` with the new events, once per frame, for a page that counts new runs. */
export function useLiveEvents(heard: (events: readonly CheckpointEvent[]) => void): void {
  const stream = useContext(Live);
  const latest = useEffectEvent(heard);
  useEffect(() => {
    const mine = new Batch<CheckpointEvent>((events) => { latest(events); });
    const leave = stream?.listen({
      events: (events) => { mine.add(...events); },
      resync: nothing,
      status: nothing,
    });
    return () => {
      leave?.();
      mine.stop();
    };
  }, [stream]);
}
