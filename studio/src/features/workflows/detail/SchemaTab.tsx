import type { JsonSchema, Transition, WorkflowDetail } from "@/api/types";
import { duration } from "@/model/time";
import { JsonTree } from "@/ui/JsonTree";
import { Section } from "@/ui/Page";
import type { Column } from "@/ui/Table";
import { DataTable } from "@/ui/Table";
import type { SchemaRow } from "./schemaRows";
import { schemaRows, typeOf } from "./schemaRows";

/** Its args, state, result and transitions as text, each with its JSON schema. */
export function SchemaTab({ workflow }: { workflow: WorkflowDetail }) {
  return (
    <>
      <Section title="Args">{workflow.args ? <Schema schema={workflow.args} label="Args" /> : <p className="text-muted">It takes none.</p>}</Section>
      <Section title="Transitions">
        <DataTable label="Transitions" columns={TRANSITIONS} rows={workflow.transitions} rowId={(one) => `${one.name} ${one.source}`} />
      </Section>
      <Section title="State">
        <Schema schema={workflow.state} label="State" />
      </Section>
      <Section title="Result">
        <Schema schema={workflow.result} label="Result" />
      </Section>
    </>
  );
}

function Schema({ schema, label }: { schema: JsonSchema; label: string }) {
  const rows = schemaRows(schema);
  return (
    <div className="flex flex-col gap-2">
      {rows.length > 0 ? (
        <DataTable label={`Fields of ${label}`} columns={FIELDS} rows={rows} rowId={(row) => row.path} />
      ) : (
        <p>{typeOf(schema, schema)}</p>
      )}
      <details>
        <summary className="min-h-6 text-muted">JSON schema</summary>
        <JsonTree value={schema} label={`JSON schema of ${label}`} />
      </details>
    </div>
  );
}

const FIELDS: readonly Column<SchemaRow>[] = [
  { id: "name", header: "Field", cell: (row) => <code style={{ paddingLeft: row.depth * 12 }}>{row.path}</code> },
  { id: "type", header: "Type", cell: (row) => row.type },
  { id: "needed", header: "Needed", cell: (row) => (row.required ? "yes" : row.otherwise === null ? "no" : `no, default ${row.otherwise}`) },
  { id: "description", header: "Description", className: "min-w-40", cell: (row) => <span className="text-muted">{row.description}</span> },
];

const TRANSITIONS: readonly Column<Transition>[] = [
  { id: "name", header: "Transition", cell: (one) => <code>{one.name}</code> },
  { id: "from", header: "From", cell: (one) => one.source },
  { id: "to", header: "To", cell: (one) => (one.keep ? "stays" : one.target) },
  { id: "when", header: "When", cell: whenOf },
  { id: "retries", header: "If it fails", className: "min-w-40", cell: (one) => <span className="text-muted">{failsTo(one)}</span> },
];

function whenOf(one: Transition): string {
  const guard = one.guard === null ? "" : `, if ${one.guard}`;
  if (one.kind === "signal") return `${one.name} is sent${guard}`;
  if (one.kind === "event") return `the event ${one.event?.name ?? ""} arrives${guard}`;
  if (one.after_method) return `at the moment of ${one.after_method}${guard}`;
  if (one.kind === "timer") return `after ${duration((one.after ?? 0) * 1000)}${guard}`;
  return `by itself${guard}`;
}

function failsTo({ retry, retry_target, error_place }: Transition): string {
  const times = retry && retry.retries > 0 ? `tried ${String(retry.retries)} more time${retry.retries === 1 ? "" : "s"}${retry_target ? ` from ${retry_target}` : ""}` : null;
  const end = error_place ? `goes to ${error_place}` : "the run fails";
  return times ? `${times}, then ${end}` : end;
}
