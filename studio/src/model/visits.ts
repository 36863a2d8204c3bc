/** The visits of a history: from entering a place until a committed transition leaves it, retries included. */
import type { Checkpoint, Run } from "@/api/types";
import { END, START } from "./definition";
import { type Millis, moment } from "./time";

export interface Visit {
  /** The version that entered the place: what steps call their visit. */
  entered: number;
  place: string;
  from: Millis;
  /** Its attempts, oldest first. */
  rows: readonly Checkpoint[];
  /** The row that left the place; null while the run is there, and where a detour left it without a row. */
  left: Checkpoint | null;
  /** When a detour left it. */
  until: Millis | null;
}

/**
 * `rows` may be a window from the end of the history. A detour to a retry_target leaves by no row of its own: it shows as
 * a row whose source is another place than the one that was entered last.
 */
export function visitsOf(run: Pick<Run, "place" | "created_at">, rows: readonly Checkpoint[]): Visit[] {
  const visits: Building[] = [];
  let open = null as Building | null;
  for (const row of rows) {
    if (row.version === 0) {
      open = add(visits, 0, START, moment(row.finished_at));
      continue;
    }
    if (row.status === "void") continue; // no attempt: a signal that wasn't used
    const place: string = row.source ?? open?.place ?? run.place;
    if (open?.place !== place) {
      if (open) open.until = moment(row.started_at);
      open = add(visits, row.version - 1, place, moment(row.started_at));
    }
    open.rows.push(row);
    if (row.status === "canceled" && row.target === null) {
      open.left = row;
      open = null;
    } else if (row.target !== null) {
      open.left = row;
      open = row.target === END ? null : add(visits, row.version, row.target, moment(row.finished_at));
    }
  }
  return visits.filter((visit, at) => visit.rows.length > 0 || at === visits.length - 1);
}

interface Building extends Visit {
  rows: Checkpoint[];
}

function add(visits: Building[], entered: number, place: string, from: Millis): Building {
  const visit: Building = { entered, place, from, rows: [], left: null, until: null };
  visits.push(visit);
  return visit;
}
