/** The recorded runs of ../../fixtures, for tests. */
import { readFileSync, readdirSync } from "node:fs";
import { resolve } from "node:path";
import type { Checkpoint, CheckpointEvent, Child, Run, Step, StoredDocument, WorkflowDetail } from "@/api/types";

export interface Recording {
  name: string;
  now: number;
  definition: WorkflowDetail;
  run: Run;
  history: Checkpoint[];
  documents: StoredDocument[];
  steps: Step[];
  children: Child[];
  explain: { reasons: string[] };
  /** The answer of each `GET /runs/{id}`, and how many events had been sent by then. */
  moments: { now: string; run: Run; events: number }[];
  events: CheckpointEvent[];
}

const FOLDER = resolve(import.meta.dirname, "../../fixtures");

export function recording(name: string): Recording {
  const stored = JSON.parse(readFileSync(`${FOLDER}/${name}.json`, "utf8")) as Omit<Recording, "name" | "events" | "now"> & { now: string };
  const lines = readFileSync(`${FOLDER}/${name}.ndjson`, "utf8").trim().split("\n");
  const events = lines.map((line) => JSON.parse(line) as CheckpointEvent);
  return { ...stored, name, now: Date.parse(stored.now), events };
}

export function recordings(): Recording[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith(".ndjson"))
    .map((file) => recording(file.replace(".ndjson", "")));
}
