import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { workflowsQuery } from "@/api/queries";
import type { Me, WorkflowSummary } from "@/api/types";
import { actOff } from "@/model/rights";
import { buttonClass } from "@/ui/Button";
import { CodeBlock } from "@/ui/CodeBlock";
import { Section } from "@/ui/Page";
import { StatusShape } from "@/ui/StatusShape";

/** The first steps, while no runs have been started; each is ticked when it is done. */
export function FirstSteps({ me }: { me: Me }) {
  const workflows = useQuery(workflowsQuery()).data;
  const first = workflows?.[0];
  return (
    <Section title="Three steps to the first run">
      <ol className="flex flex-col gap-4 rounded-md border p-4">
        <Step done={first !== undefined} title="Define a workflow">
          {first ? (
            <p className="text-muted">{workflows?.length === 1 ? "One is" : `${String(workflows?.length)} are`} registered in this process.</p>
          ) : (
            <CodeBlock label="Command that makes an application with a workflow" code={"stepwell new my_app\nstepwell dev my_app.app:stepwell"} />
          )}
        </Step>
        <Step done={false} title="Run it">
          {actOff(me) !== null ? <p className="text-muted">You may view runs, but starting them needs the role operator.</p> : first ? <Run workflow={first} /> : <p className="text-muted">From here, from the command line, over HTTP, on a schedule or on an event.</p>}
        </Step>
        <Step done={false} title="Watch it">
          <p className="text-muted">
            It appears under{" "}
            <Link to="/runs" className="prose-link">
              Runs
            </Link>{" "}
            as soon as it is started; this page follows by itself.
          </p>
        </Step>
      </ol>
    </Section>
  );
}

function Run({ workflow }: { workflow: WorkflowSummary }) {
  return (
    <div className="flex flex-col gap-2">
      <div>
        <Link to="/workflows/$app/$name/start" params={{ app: workflow.app_name, name: workflow.name }} className={buttonClass("primary")}>
          Start {workflow.title}
        </Link>
      </div>
      <CodeBlock label="Command that runs it" code={`stepwell run ${workflow.name}`} />
    </div>
  );
}

function Step({ done, title, children }: { done: boolean; title: string; children: React.ReactNode }) {
  return (
    <li className="flex gap-3">
      <span className="pt-0.5">
        <StatusShape shape={done ? "tick-circle" : "hollow-circle"} token={done ? "completed" : "queued"} size={16} label={done ? "Done" : "To do"} />
      </span>
      <div className="min-w-0 grow">
        <h3>{title}</h3>
        {children}
      </div>
    </li>
  );
}
