/** The roots of the query cache, which a stream or a mutation invalidates. Everything below a root has it as its first parts. */
export const keys = {
  me: ["me"],
  apps: ["apps"],
  workflows: ["workflows"],
  /** Lists of runs, their counts, failures and metrics: all that a change of any run may change. */
  runs: ["runs"],
  run: (id: string) => ["run", id] as const,
  waiting: ["waiting"],
  inbox: ["inbox"],
  /** Batches and what became of them; the groups of children are counted in the same way. */
  batches: ["batches"],
  groups: ["groups"],
  /** The runs of a batch: apart, because many pages of them may be loaded. */
  batchItems: (id: string) => ["batch-items", id] as const,
  /** What is paused, and what limits hold back. */
  pauses: ["pauses"],
  limits: ["limits"],
  workspaces: ["workspaces"],
  schedules: ["schedules"],
  deliveries: ["deliveries"],
  workers: ["workers"],
  queue: ["queue"],
  /** Of all runs in flight, checked one by one: no event asks for it again. */
  misfits: ["misfits"],
  tokens: ["tokens"],
} as const;
