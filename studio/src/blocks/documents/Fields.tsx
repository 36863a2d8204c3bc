import { CodeBlock } from "@/ui/CodeBlock";
import { Clamped, PlainText } from "@/ui/Clamped";
import { JsonTree } from "@/ui/JsonTree";
import { Markdown } from "@/ui/Markdown";
import type { Layout, Shown } from "./shown";
import { lineOf } from "./shown";

/** The fields of a document, as its class declares them. */
export function Fields({ layout: { fields, groups } }: { layout: Layout }) {
  return (
    <div className="flex min-w-0 flex-col gap-3">
      <List fields={fields} />
      {groups.map(({ group, fields: inside }) =>
        group.collapsed ? (
          <details key={group.title} className="rounded-md border px-3 py-1.5">
            <summary className="min-h-6 font-medium">{group.title}</summary>
            <Group description={group.description} fields={inside} />
          </details>
        ) : (
          <div key={group.title} role="group" aria-label={group.title} className="rounded-md border px-3 py-2">
            <p className="mb-1 font-medium">{group.title}</p>
            <Group description={group.description} fields={inside} />
          </div>
        ),
      )}
    </div>
  );
}

function Group({ description, fields }: { description: string | undefined; fields: readonly Shown[] }) {
  return (
    <>
      {description && <p className="mb-2 max-w-prose text-xs text-muted">{description}</p>}
      <List fields={fields} />
    </>
  );
}

function List({ fields }: { fields: readonly Shown[] }) {
  if (fields.length === 0) return null;
  return (
    <dl className="flex min-w-0 flex-col gap-2">
      {fields.map((field) => (
        <div key={field.name} className="min-w-0">
          <dt className="text-xs font-medium text-muted">{field.title}</dt>
          <dd className="min-w-0">
            <Value field={field} />
            {field.description && <p className="max-w-prose text-xs text-muted">{field.description}</p>}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Value({ field }: { field: Shown }) {
  const { kind, options, value, title } = field;
  if (kind === "markdown" && typeof value === "string") return <Clamped text={value} label={title}>{(text) => <Markdown text={text} />}</Clamped>;
  if (kind === "code" && typeof value === "string") {
    const language = typeof options.language === "string" ? options.language : undefined;
    return <CodeBlock code={value} label={title} language={language} />;
  }
  const line = lineOf(field);
  return line === null ? <JsonTree value={value} label={title} /> : <PlainText text={line} label={title} />;
}
