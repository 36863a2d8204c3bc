import { Link } from "@tanstack/react-router";
import type { Limit } from "@/api/types";
import { shortId } from "@/ui/Copy";

/** Whose limit it is: a workflow's, one that several share by its name, or a group's. */
export function Rule({ limit: { kind, rule, app_name, workflow_name } }: { limit: Limit }) {
  if (app_name !== null && workflow_name !== null) {
    return (
      <>
        <Link to="/workflows/$app/$name" params={{ app: app_name, name: workflow_name }} className="prose-link">
          {workflow_name}
        </Link>{" "}
        <span className="text-xs text-muted">{app_name}</span>
      </>
    );
  }
  if (kind === "group") {
    return (
      <>
        the group <code title={rule}>{shortId(rule)}</code>
      </>
    );
  }
  return (
    <>
      shared as <code>{rule}</code>
    </>
  );
}
