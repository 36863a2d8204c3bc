import type { RawSearch } from "@/model/search";
import { flag, number, oneOf, text } from "@/model/search";

export type RunTab = "feed" | "timeline" | "graph" | "state" | "history" | "details";
export const RUN_TABS: readonly RunTab[] = ["feed", "timeline", "graph", "state", "history", "details"];

export type StateMode = "value" | "changes" | "compare";
export const STATE_MODES: readonly StateMode[] = ["value", "changes", "compare"];

/** What a retry replaces: the data of the signal with which the run failed, or its state. */
export type RepairPart = "data" | "state";
export const REPAIR_PARTS: readonly RepairPart[] = ["data", "state"];

/** The search parameters of a run's page. */
export interface RunSearch {
  /** Without it, the page chooses by the content of the run. */
  tab?: RunTab | undefined;
  /** The history row that all tabs show. */
  at?: number | undefined;
  /** The history row it is compared with. */
  with?: number | undefined;
  mode?: StateMode | undefined;
  /** The timeline without folds. */
  real?: boolean | undefined;
  /** The timeline as a table. */
  table?: boolean | undefined;
  /** The part of the timeline that is looked at, in milliseconds since the run began: "1200-3400". */
  zoom?: string | undefined;
  /** The history row at which a fork is being prepared. */
  fork?: number | undefined;
  /** The step whose value is looked at: the key of its row in the timeline. */
  step?: string | undefined;
  /** Only this attempt of each visit. */
  attempt?: number | undefined;
  /** The form of a repair that is open. */
  repair?: RepairPart | undefined;
}

export function validateSearch(search: RawSearch): RunSearch {
  return {
    tab: oneOf(RUN_TABS, search.tab),
    at: number(search.at),
    with: number(search.with),
    mode: oneOf(STATE_MODES, search.mode),
    real: flag(search.real),
    table: flag(search.table),
    zoom: text(search.zoom),
    fork: number(search.fork),
    step: text(search.step),
    attempt: number(search.attempt),
    repair: oneOf(REPAIR_PARTS, search.repair),
  };
}
